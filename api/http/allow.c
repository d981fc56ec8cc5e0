/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allow.c - blocks of addresses, all kept as IPv6.
 *
 * An IPv4 address is handled as its IPv4-mapped form (::ffff:a.b.c.d), so "127.0.0.1/8" has 96 + 8 bits,
 * and a peer of a dual-stack socket needs no case of its own.
 */
#include "http/allow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96U /* of an IPv4-mapped address, before the IPv4 address itself */

static void map_ipv4(const void *ipv4, unsigned char *ret)
{
    static const unsigned char prefix[12] = {[10] = 0xFF, [11] = 0xFF};
    memcpy(ret, prefix, sizeof prefix);
    memcpy(ret + sizeof prefix, ipv4, 4);
}

/** Parses "a.b.c.d" or an IPv6 address; *ret_bits is the number of bits that it has by itself. */
static bool parse_address(const char *text, unsigned char *ret, unsigned *ret_bits)
{
    unsigned char ipv4[4];
    if (inet_pton(AF_INET, text, ipv4) == 1) {
        map_ipv4(ipv4, ret);
        *ret_bits = 32;
        return true;
    }
    *ret_bits = 128;
    return inet_pton(AF_INET6, text, ret) == 1;
}

/** Parses a prefix length; false unless it is a plain number up to most. */
static bool parse_bits(const char *text, unsigned most, unsigned *ret)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end = NULL;
    errno = 0;
    const long long bits = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || bits > (long long)most)
        return false;
    *ret = (unsigned)bits;
    return true;
}

static bool parse_block(const char *text, allow_block *ret)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    const size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = '\0';

    unsigned width;
    if (!parse_address(address, ret->address, &width))
        return false;
    ret->bits = width;
    if (slash != NULL && !parse_bits(slash + 1, width, &ret->bits))
        return false;
    if (width == 32)
        ret->bits += MAPPED_BITS;
    return true;
}

utapi_status allow_list_add(allow_list *list, const char *text, utapi_error *err)
{
    allow_block block;
    if (!parse_block(text, &block))
        return utapi_fail(err, UTAPI_INVALID, "\"%.64s\": expected an address, as 127.0.0.1 or 10.0.0.0/8",
                          text);

    allow_block *blocks = realloc(list->blocks, (list->count + 1) * sizeof *blocks);
    if (blocks == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "list of addresses");
    blocks[list->count++] = block;
    list->blocks = blocks;
    return UTAPI_OK;
}

static bool block_has(const allow_block *block, const unsigned char *address)
{
    const unsigned whole = block->bits / 8;
    const unsigned rest = block->bits % 8;
    if (memcmp(block->address, address, whole) != 0)
        return false;
    const unsigned mask = 0xFFU << (8 - rest) & 0xFFU;
    return rest == 0 || ((block->address[whole] ^ address[whole]) & mask) == 0;
}

bool allow_list_has(const allow_list *list, const struct sockaddr *peer)
{
    if (peer == NULL)
        return true;

    unsigned char address[16];
    if (peer->sa_family == AF_INET)
        map_ipv4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr, address);
    else if (peer->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, sizeof address);
    else
        return false;

    for (size_t i = 0; i < list->count; i++) {
        if (block_has(&list->blocks[i], address))
            return true;
    }
    return false;
}

void allow_list_write(const allow_list *list, utapi_text *ret)
{
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    for (size_t i = 0; i < list->count; i++) {
        const allow_block *block = &list->blocks[i];
        const bool is_ipv4 = block->bits >= MAPPED_BITS && memcmp(block->address, mapped, sizeof mapped) == 0;
        const unsigned bits = is_ipv4 ? block->bits - MAPPED_BITS : block->bits;
        char address[INET6_ADDRSTRLEN], length[16] = "";
        (void)inet_ntop(is_ipv4 ? AF_INET : AF_INET6, block->address + (is_ipv4 ? sizeof mapped : 0), address,
                        sizeof address);
        if (bits < (is_ipv4 ? 32 : 128))
            (void)snprintf(length, sizeof length, "/%u", bits);
        utapi_text_add_literal(ret, i > 0 ? ", " : "");
        utapi_text_add_literal(ret, address);
        utapi_text_add_literal(ret, length);
    }
}

void allow_list_done(allow_list *list)
{
    free(list->blocks);
    *list = (allow_list){NULL, 0};
}
