/* SPDX-License-Identifier: Apache-2.0 */
/**
 * log.c - puts a line together in memory and writes it with one write(2), so that lines of different threads
 * never mix.
 */
#include "handlers/log.h"

#include "utapi/clock.h"
#include "json/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static const char *logger_name = "utapid";
static log_level most_verbose = LOG_LEVEL_INFO;

void log_open(const char *name, log_level level)
{
    logger_name = name;
    most_verbose = level;
}

bool log_level_find(const char *name, log_level *ret)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (log_level)i;
            return true;
        }
    }
    return false;
}

bool log_wants(log_level level)
{
    return level <= most_verbose;
}

static void add_member(utapi_text *text, const char *name, const char *value)
{
    JSON_TEXT_LITERAL(text, ",");
    json_text_add_string(text, utapi_string_of(name));
    JSON_TEXT_LITERAL(text, ":");
    json_text_add_string(text, utapi_string_of(value));
}

void log_write(log_level level, const char *request_id, const char *format, ...)
{
    if (!log_wants(level))
        return;

    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    utapi_text line = {0};
    JSON_TEXT_LITERAL(&line, "{\"time\":");
    json_text_add_integer(&line, utapi_wall_ms());
    add_member(&line, "name", logger_name);
    add_member(&line, "level", level_names[level]);
    if (request_id != NULL)
        add_member(&line, "req_id", request_id);
    add_member(&line, "message", message);
    JSON_TEXT_LITERAL(&line, "}\n");

    /* A log that nobody can take is lost; there is nowhere to say so. */
    if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0)
        (void)0;
    utapi_text_done(&line);
}
