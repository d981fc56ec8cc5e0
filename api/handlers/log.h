/* SPDX-License-Identifier: Apache-2.0 */
/**
 * log.h - JSON lines on stderr: one object a line, as a log collector reads them.
 *
 * For api/ and the mains; core and backends return errors instead. Thread-safe after log_open(). Nobody passes
 * a secret or an Authorization header to it.
 */
#ifndef HANDLERS_LOG_H
#define HANDLERS_LOG_H

#include <stdbool.h>

typedef enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } log_level;

/**
 * Says who logs, and how much; before any other thread starts. Until then: "utapid", info.
 *
 * @param name  borrowed for as long as anybody logs
 */
void log_open(const char *name, log_level level);

/** Finds a level by its name ("error", "warn", "info", "debug"); false, and *ret untouched, if there is none. */
bool log_level_find(const char *name, log_level *ret);

/** Whether lines of this level are written: for lines that cost something to put together. */
bool log_wants(log_level level);

/**
 * Writes a line, unless its level is not wanted.
 *
 * @param request_id  of the request that it is about; NULL: of none
 * @param format      as for printf; long texts are cut
 */
void log_write(log_level level, const char *request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
