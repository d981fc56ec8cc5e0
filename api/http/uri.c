/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uri.c - one decoder, byte by byte; everything else is built on it.
 */
#include "http/uri.h"

#include "utapi/scoped.h"

#include <string.h>

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

int uri_next_byte(utapi_string text, size_t *at)
{
    const char *here = text.data + *at;
    if (*here != '%') {
        (*at)++;
        return (unsigned char)*here;
    }
    const int high = text.size - *at > 2 ? hex_value(here[1]) : -1;
    const int low = high >= 0 ? hex_value(here[2]) : -1;
    if (low < 0)
        return -1;
    *at += 3;
    return high * 16 + low;
}

bool uri_decode(utapi_string text, char *buffer, utapi_string *ret)
{
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        const int byte = uri_next_byte(text, &at);
        if (byte < 0)
            return false;
        buffer[size++] = (char)byte;
    }
    *ret = (utapi_string){buffer, size};
    return true;
}

utapi_status uri_check(utapi_string text)
{
    if (text.size == 0)
        return UTAPI_OK;
    UTAPI_AUTO_FREE char *buffer = malloc(text.size);
    utapi_string decoded;
    if (buffer == NULL)
        return UTAPI_NO_MEMORY;
    return uri_decode(text, buffer, &decoded) && utapi_string_is_text(decoded) ? UTAPI_OK : UTAPI_INVALID;
}

bool uri_next_parameter(utapi_string *query, utapi_string *name, utapi_string *value)
{
    if (query->size == 0)
        return false;

    const char *end = memchr(query->data, '&', query->size);
    const size_t size = end != NULL ? (size_t)(end - query->data) : query->size;
    const size_t consumed = end != NULL ? size + 1 : size;
    const char *equals = memchr(query->data, '=', size);
    const size_t name_size = equals != NULL ? (size_t)(equals - query->data) : size;

    *name = (utapi_string){query->data, name_size};
    *value = equals != NULL ? (utapi_string){equals + 1, size - name_size - 1} : (utapi_string){NULL, 0};
    query->data += consumed;
    query->size -= consumed;
    return true;
}

bool uri_means(utapi_string encoded, utapi_string text)
{
    size_t compared = 0;
    for (size_t at = 0; at < encoded.size;) {
        const bool is_plus = encoded.data[at] == '+';
        const int byte = uri_next_byte(encoded, &at);
        if (byte < 0 || compared == text.size)
            return false;
        if ((is_plus ? ' ' : byte) != (unsigned char)text.data[compared++])
            return false;
    }
    return compared == text.size;
}
