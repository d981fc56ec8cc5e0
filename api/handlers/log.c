/* SPDX-License-Identifier: Apache-2.0 */
/**
 * log.c - puts a line together in memory and writes it with one write(2), so that lines of different threads
 * never mix.
 */
#include "handlers/log.h"

#include "utapi/clock.h"
#include "json/json_text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static log_options how = {.name = "utapid"};
static _Atomic log_level most_verbose = LOG_LEVEL_INFO;

void log_open(const log_options *options)
{
    how = *options;
    most_verbose = options->level;
}

void log_set_level(log_level level)
{
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

bool log_wants_access(void)
{
    return how.access;
}

/* ---- a line ---------------------------------------------------------------------------------- */

/* The size of the character at the beginning of UTF-8 if it has to be escaped, and its code; 0: it may stand. DEL, C1
 * controls, and what turns the direction of text round (Unicode Standard Annex 9, section 2). */
static size_t hidden_character(const unsigned char *at, size_t size, unsigned *ret_code)
{
    if (at[0] == 0x7F) {
        *ret_code = at[0];
        return 1;
    }
    if (size >= 2 && (at[0] == 0xC2 || at[0] == 0xD8)) {
        *ret_code = (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
        return *ret_code < 0xA0 || *ret_code == 0x61C ? 2 : 0;
    }
    if (size < 3 || at[0] != 0xE2)
        return 0;
    const unsigned code = *ret_code = 0x2000u | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    const bool turns = code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) ||
                       (code >= 0x2066 && code <= 0x2069);
    return turns || code == 0x2028 || code == 0x2029 ? 3 : 0;
}

static void add_text(utapi_text *line, utapi_string value)
{
    utapi_text quoted = {0};
    json_text_add_string(&quoted, value);
    const unsigned char *bytes = (const unsigned char *)quoted.data;
    for (size_t at = 0; at < quoted.size;) {
        unsigned code = 0;
        const size_t hidden = hidden_character(bytes + at, quoted.size - at, &code);
        char escape[8];
        if (hidden > 0)
            utapi_text_add(line, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", code));
        else
            utapi_text_add_char(line, quoted.data[at]);
        at += hidden > 0 ? hidden : 1;
    }
    line->failed = line->failed || quoted.failed;
    utapi_text_done(&quoted);
}

static void add_member(utapi_text *line, const char *name, utapi_string value)
{
    JSON_TEXT_LITERAL(line, ",\"");
    utapi_text_add_literal(line, name);
    JSON_TEXT_LITERAL(line, "\":");
    add_text(line, value);
}

static void add_time(utapi_text *line, int64_t time_ms)
{
    char text[40];
    struct tm date;
    const time_t seconds = (time_t)(time_ms / 1000);
    if (!how.iso_time || gmtime_r(&seconds, &date) == NULL) {
        json_text_add_integer(line, time_ms);
        return;
    }
    const size_t size = strftime(text, sizeof text, "\"%Y-%m-%dT%H:%M:%S", &date);
    (void)snprintf(text + size, sizeof text - size, ".%03dZ\"", (int)(time_ms % 1000));
    utapi_text_add_literal(line, text);
}

void log_write_members(log_level level, const char *request_id, const char *message,
                       const log_member *members, size_t count)
{
    utapi_text line = {0};
    JSON_TEXT_LITERAL(&line, "{\"time\":");
    add_time(&line, utapi_wall_ms());
    add_member(&line, "name", utapi_string_of(how.name));
    add_member(&line, "level", utapi_string_of(level_names[level]));
    if (request_id != NULL)
        add_member(&line, "req_id", utapi_string_of(request_id));
    add_member(&line, "message", utapi_string_of(message));
    for (size_t i = 0; i < count; i++) {
        if (members[i].text.data != NULL) {
            add_member(&line, members[i].name, members[i].text);
            continue;
        }
        JSON_TEXT_LITERAL(&line, ",\"");
        utapi_text_add_literal(&line, members[i].name);
        JSON_TEXT_LITERAL(&line, "\":");
        json_text_add_integer(&line, members[i].number);
    }
    JSON_TEXT_LITERAL(&line, "}\n");

    /* A log that nobody can take is lost; there is nowhere to say so. */
    if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0)
        (void)0;
    utapi_text_done(&line);
}

void log_write(log_level level, const char *request_id, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    if (!log_wants(level))
        return;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    log_write_members(level, request_id, message, NULL, 0);
}
