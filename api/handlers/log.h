/* SPDX-License-Identifier: Apache-2.0 */
/**
 * log.h - JSON lines on stderr: one object a line, as a log collector reads them.
 *
 * For api/ and the mains; core and backends return errors instead. Thread-safe after log_open(). Nobody passes
 * a secret or an Authorization header to it. What came from outside is safe for a terminal: control characters, and
 * those that turn the direction of text round, are escaped.
 */
#ifndef HANDLERS_LOG_H
#define HANDLERS_LOG_H

#include "utapi/string.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } log_level;

typedef struct log_options {
    const char *name; /* of who logs; borrowed for as long as anybody logs */
    log_level level;
    bool iso_time; /* "2026-11-30T09:15:00.123Z", else milliseconds since the epoch */
    bool access;   /* a line for each request: log_wants_access() */
} log_options;

/** Says who logs, and how; before any other thread starts. Until then: "utapid", info. */
void log_open(const log_options *options);

/** Changes how much is logged, at any time. */
void log_set_level(log_level level);

/** Finds a level by its name ("error", "warn", "info", "debug"); false, and *ret untouched, if there is none. */
bool log_level_find(const char *name, log_level *ret);

/** Whether lines of this level are written: for lines that cost something to put together. */
bool log_wants(log_level level);

/** Whether each request has a line, whatever the level is. */
bool log_wants_access(void);

/** A member of a line. */
typedef struct log_member {
    const char *name;
    utapi_string text; /* data NULL: the number */
    int64_t number;
} log_member;

/**
 * Writes a line with members after its message, whatever its level is.
 *
 * @param request_id  of the request that it is about; NULL: of none
 */
void log_write_members(log_level level, const char *request_id, const char *message,
                       const log_member *members, size_t count);

/**
 * Writes a line, unless its level is not wanted.
 *
 * @param format  as for printf; long texts are cut
 */
void log_write(log_level level, const char *request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
