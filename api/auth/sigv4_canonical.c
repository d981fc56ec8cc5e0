/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4_canonical.c - the canonical form of a request, line by line: method, path, query, headers, names of
 * the headers, hash of the payload.
 *
 * It starts from the bytes of the wire. Where S3's rule holds, %41 and A are the same, so path and query
 * are decoded and encoded again in one pass (add_encoded). Clients that encode properly sign just
 * what they send.
 */
#include "auth/sigv4.h"
#include "http/uri.h"
#include "utapi/scoped.h"

#include <stdint.h>
#include <string.h>

/* What add_encoded() makes of the bytes that it reads. */
typedef enum encoding {
    ENCODE_RAW = 0,
    DECODE_PERCENT = 1, /* %41 is A */
    DECODE_PLUS = 2,    /* + is a blank */
    KEEP_SLASH = 4      /* / stays; %2F does too */
} encoding;

typedef struct parameter {
    utapi_string name; /* encoded */
    utapi_string value;
} parameter;

static bool is_unreserved(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '-' || byte == '_' || byte == '.' || byte == '~';
}

static void add_percent(utapi_text *text, char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned value = (unsigned char)byte;
    const char encoded[3] = {'%', digits[value >> 4], digits[value & 0xF]};
    utapi_text_add_string(text, (utapi_string){encoded, sizeof encoded});
}

/* A percent sign that no two hex digits follow stands for itself. */
static void add_encoded(utapi_text *text, utapi_string raw, unsigned how)
{
    for (size_t i = 0; i < raw.size;) {
        const char first = raw.data[i];
        const int decoded = first == '%' && (how & DECODE_PERCENT) ? uri_next_byte(raw, &i) : -1;
        i += decoded < 0;
        const char byte = decoded >= 0 ? (char)decoded : first == '+' && (how & DECODE_PLUS) ? ' ' : first;
        if (is_unreserved(byte) || (first == '/' && (how & KEEP_SLASH)))
            utapi_text_add_char(text, byte);
        else
            add_percent(text, byte);
    }
}

static bool is_dots(utapi_string segment, size_t count)
{
    return segment.size == count && memcmp(segment.data, "..", count) == 0;
}

/* Takes the last segment that was written away again. */
static void drop_segment(utapi_text *text, size_t start)
{
    while (text->size > start && text->data[text->size - 1] != '/')
        text->size--;
    if (text->size > start)
        text->size--;
}

static void add_normalized_path(utapi_text *text, utapi_string path)
{
    const size_t start = text->size;
    bool ends_open = true; /* the path ends with a slash */
    for (size_t i = 0; i < path.size;) {
        const char *slash = memchr(path.data + i, '/', path.size - i);
        const size_t end = slash == NULL ? path.size : (size_t)(slash - path.data);
        const utapi_string segment = {path.data + i, end - i};
        ends_open = slash != NULL || is_dots(segment, 1) || is_dots(segment, 2);
        if (is_dots(segment, 2)) {
            drop_segment(text, start);
        } else if (segment.size > 0 && !is_dots(segment, 1)) {
            utapi_text_add_char(text, '/');
            add_encoded(text, segment, ENCODE_RAW);
        }
        i = end + 1;
    }
    if (ends_open)
        utapi_text_add_char(text, '/');
}

static void add_path(utapi_text *text, utapi_string path, sigv4_path_rule rule)
{
    if (rule == SIGV4_PATH_NORMALIZED)
        add_normalized_path(text, path);
    else if (path.size == 0)
        utapi_text_add_char(text, '/');
    else
        add_encoded(text, path, DECODE_PERCENT | KEEP_SLASH);
}

static int compare_parameters(const void *left, const void *right)
{
    const parameter *a = left;
    const parameter *b = right;
    const int by_name = utapi_string_compare(a->name, b->name);
    return by_name != 0 ? by_name : utapi_string_compare(a->value, b->value);
}

/* Writes a piece in its encoded form; the arena has room already, so that what it returns stays put. */
static utapi_string encode_piece(utapi_text *arena, utapi_string raw)
{
    const size_t start = arena->size;
    add_encoded(arena, raw, DECODE_PERCENT | DECODE_PLUS);
    return (utapi_string){arena->data + start, arena->size - start};
}

/* Nothing between two ampersands counts for nothing. */
static size_t encode_parameters(utapi_string query, utapi_text *arena, parameter *ret)
{
    size_t count = 0;
    utapi_string name;
    utapi_string value;
    while (uri_next_parameter(&query, &name, &value)) {
        if (name.size == 0 && value.data == NULL)
            continue;
        ret[count].name = encode_piece(arena, name);
        ret[count++].value = encode_piece(arena, value);
    }
    return count;
}

static void add_parameters(utapi_text *text, const parameter *parameters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            utapi_text_add_char(text, '&');
        utapi_text_add_string(text, parameters[i].name);
        utapi_text_add_char(text, '=');
        utapi_text_add_string(text, parameters[i].value);
    }
}

static size_t count_pieces(utapi_string query)
{
    size_t count = 1;
    for (size_t i = 0; i < query.size; i++)
        count += query.data[i] == '&';
    return count;
}

void sigv4_canonical_query(utapi_string query, utapi_text *text)
{
    if (query.size == 0)
        return;
    /* Encoding makes three bytes of one at most. */
    UTAPI_AUTO_FREE char *room = query.size > SIZE_MAX / 3 ? NULL : malloc(query.size * 3);
    UTAPI_AUTO_FREE parameter *parameters = calloc(count_pieces(query), sizeof *parameters);
    if (room == NULL || parameters == NULL) {
        text->failed = true;
        return;
    }
    utapi_text arena = {.data = room, .capacity = query.size * 3};
    const size_t count = encode_parameters(query, &arena, parameters);
    qsort(parameters, count, sizeof *parameters, compare_parameters);
    add_parameters(text, parameters, count);
}

/* A value without blanks at its ends, and with one where there were several. */
static void add_value(utapi_text *text, utapi_string value)
{
    bool is_first = true;
    for (size_t i = 0, end; i < value.size; i = end + 1) {
        for (end = i; end < value.size && !sigv4_is_blank(value.data[end]);)
            end++;
        if (end == i)
            continue;
        if (!is_first)
            utapi_text_add_char(text, ' ');
        utapi_text_add_string(text, (utapi_string){value.data + i, end - i});
        is_first = false;
    }
}

/* All values of a header of that name, joined by commas. */
static void add_values(utapi_text *text, const http_request *request, utapi_string name)
{
    bool is_first = true;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!sigv4_name_equal(request->headers[i].name, name))
            continue;
        if (!is_first)
            utapi_text_add_char(text, ',');
        add_value(text, request->headers[i].value);
        is_first = false;
    }
}

static void add_headers(utapi_text *text, const http_request *request,
                        const sigv4_signed_headers *signed_headers)
{
    for (size_t i = 0; i < signed_headers->count; i++) {
        const utapi_string name = signed_headers->names[i];
        utapi_text_add_string(text, name);
        utapi_text_add_char(text, ':');
        if (utapi_string_equal(name, utapi_string_of("expect")))
            utapi_text_add_literal(text, "100-continue");
        else
            add_values(text, request, name);
        utapi_text_add_char(text, '\n');
    }
}

static void add_names(utapi_text *text, const sigv4_signed_headers *signed_headers)
{
    for (size_t i = 0; i < signed_headers->count; i++) {
        if (i > 0)
            utapi_text_add_char(text, ';');
        utapi_text_add_string(text, signed_headers->names[i]);
    }
}

void sigv4_canonical_request(const http_request *request, const sigv4_signed_headers *signed_headers,
                             utapi_string payload_hash, sigv4_path_rule rule, utapi_text *text)
{
    utapi_text_add_string(text, request->method);
    utapi_text_add_char(text, '\n');
    add_path(text, request->path, rule);
    utapi_text_add_char(text, '\n');
    sigv4_canonical_query(request->query, text);
    utapi_text_add_char(text, '\n');
    add_headers(text, request, signed_headers);
    utapi_text_add_char(text, '\n');
    add_names(text, signed_headers);
    utapi_text_add_char(text, '\n');
    utapi_text_add_string(text, payload_hash);
}
