/* SPDX-License-Identifier: Apache-2.0 */
/* admin_act.c - which acts may be asked for, and the stored form of the audit's rows.
 *
 *     byte 0    1, the version
 *     bytes     kind, level
 *     varints   time_ms, asked_ms, interval; zigzag
 *     texts     name, id, who, reason, refused: a varint, the length, and bytes
 *     amounts   adjusted, before, after: a varint, the length, and a snapshot (utapi/snapshot.h)
 *     4 bytes   CRC-32C of all before it, little-endian
 */
#include "utapi/admin_act.h"

#include "utapi/codec.h"
#include "utapi/event.h"
#include "utapi/snapshot.h"

#include <string.h>

enum { VERSION = 1, NUMBERS = 3, TEXTS = 5, SETS = 3 };

const char *utapi_admin_kind_name(utapi_admin_kind kind)
{
    static const char *const names[] = {
#define X(name, text) text,
        UTAPI_ADMIN_MAP(X)
#undef X
    };
    return kind < UTAPI_ADMIN_KIND_COUNT ? names[kind] : "unknown";
}

uint64_t utapi_admin_watched(const utapi_admin_act *act)
{
    uint64_t watched = UINT64_C(1) << UTAPI_STORAGE_UTILIZED | UINT64_C(1) << UTAPI_NUMBER_OF_OBJECTS;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT && act->kind == UTAPI_ADMIN_ADJUST; m++)
        if (utapi_amounts_get(&act->amounts, m) != 0)
            watched |= UINT64_C(1) << m;
    return watched;
}

/* ---- checks ------------------------------------------------------------------------------- */

static utapi_status text_check(const char *field, utapi_string text, size_t max, utapi_error *err)
{
    if (text.size == 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a text", field);
    if (text.size > max)
        return utapi_fail(err, UTAPI_INVALID, "%s: longer than %zu bytes", field, max);
    if (!utapi_string_is_text(text))
        return utapi_fail(err, UTAPI_INVALID, "%s: not UTF-8 text without NUL", field);
    return UTAPI_OK;
}

static utapi_status id_check(utapi_string id, utapi_error *err)
{
    bool is_id = id.size >= UTAPI_ADMIN_ID_MIN && id.size <= UTAPI_ADMIN_ID_MAX;
    for (size_t i = 0; i < id.size && is_id; i++)
        is_id = strchr("0123456789abcdef", id.data[i]) != NULL && id.data[i] != '\0';
    return is_id ? UTAPI_OK
                 : utapi_fail(err, UTAPI_INVALID, "id: expected %d to %d hexadecimal digits of lower case",
                              UTAPI_ADMIN_ID_MIN, UTAPI_ADMIN_ID_MAX);
}

utapi_status utapi_admin_act_check(const utapi_admin_act *act, int64_t now_ms, utapi_error *err)
{
    utapi_status status = text_check("name", act->name, UTAPI_NAME_MAX, err);
    if (status == UTAPI_OK)
        status = id_check(act->id, err);
    if (status == UTAPI_OK)
        status = text_check("reason", act->reason, UTAPI_ADMIN_TEXT_MAX, err);
    if (status == UTAPI_OK)
        status = text_check("who", act->who, UTAPI_ADMIN_TEXT_MAX, err);
    if (status != UTAPI_OK)
        return status;
    if (act->time_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "at: must not be negative");
    if (utapi_interval_of(act->time_ms) > utapi_interval_of(now_ms) + UTAPI_INTERVAL_MS ||
        act->time_ms > UTAPI_INTERVAL_MAX)
        return utapi_fail(err, UTAPI_INVALID, "at: lies too far in the future");
    bool any = act->kind != UTAPI_ADMIN_ADJUST;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT && act->kind == UTAPI_ADMIN_ADJUST; m++) {
        const utapi_wide amount = utapi_amounts_get(&act->amounts, m);
        any |= amount != 0;
        if (!utapi_wide_fits(amount))
            return utapi_fail(err, UTAPI_INVALID, "%s: does not fit 64 bits", utapi_metric_name(m));
    }
    return any ? UTAPI_OK : utapi_fail(err, UTAPI_INVALID, "nothing is to be adjusted: every amount is 0");
}

/* ---- the stored form ---------------------------------------------------------------------- */

/* The parts of a row in their order; members of what is read or written. */
typedef struct parts {
    int64_t *numbers[NUMBERS];
    utapi_string *texts[TEXTS];
    utapi_amounts *sets[SETS];
} parts;

static parts parts_of(utapi_audit_row *row)
{
    utapi_admin_act *act = &row->act;
    return (parts){{&act->time_ms, &act->asked_ms, &row->interval},
                   {&act->name, &act->id, &act->who, &act->reason, &act->refused},
                   {&act->amounts, &row->before, &row->after}};
}

size_t utapi_audit_row_max(const utapi_admin_act *act)
{
    return 3 + NUMBERS * UTAPI_VARINT_MAX + TEXTS * UTAPI_VARINT_MAX + act->name.size + act->id.size +
           act->who.size + act->reason.size + act->refused.size +
           SETS * (UTAPI_VARINT_MAX + UTAPI_SNAPSHOT_MAX) + UTAPI_CHECKSUM_SIZE;
}

size_t utapi_audit_row_encode(const utapi_audit_row *row, unsigned char *buffer)
{
    utapi_audit_row copy = *row;
    const parts of = parts_of(&copy);
    unsigned char *at = buffer;
    *at++ = VERSION;
    *at++ = (unsigned char)row->act.kind;
    *at++ = (unsigned char)row->act.level;
    for (unsigned i = 0; i < NUMBERS; i++)
        at = utapi_varint_put(at, utapi_zigzag(*of.numbers[i]));
    for (unsigned i = 0; i < TEXTS; i++) {
        at = utapi_varint_put(at, of.texts[i]->size);
        if (of.texts[i]->size > 0)
            memcpy(at, of.texts[i]->data, of.texts[i]->size);
        at += of.texts[i]->size;
    }
    for (unsigned i = 0; i < SETS; i++) {
        unsigned char snapshot[UTAPI_SNAPSHOT_MAX];
        const size_t size = utapi_snapshot_encode(of.sets[i], NULL, snapshot);
        at = utapi_varint_put(at, size);
        memcpy(at, snapshot, size);
        at += size;
    }
    return (size_t)(utapi_checksum_put(buffer, at) - buffer);
}

/* The next part with a length; NULL where the bytes end too soon. */
static const unsigned char *part_get(const unsigned char *at, const unsigned char *end, utapi_string *ret)
{
    uint64_t size;
    at = at != NULL ? utapi_varint_get(at, end, &size) : NULL;
    if (at == NULL || size > (uint64_t)(end - at))
        return NULL;
    *ret = (utapi_string){(const char *)at, (size_t)size};
    return at + size;
}

utapi_status utapi_audit_row_decode(const void *data, size_t size, utapi_audit_row *ret, utapi_error *err)
{
    static const char corrupt[] = "a row of the audit that cannot be read";
    const unsigned char *at = data;
    if (size < 3 + UTAPI_CHECKSUM_SIZE || at[0] != VERSION || at[1] >= UTAPI_ADMIN_KIND_COUNT ||
        at[2] >= UTAPI_LEVEL_COUNT || !utapi_checksum_fits(data, size))
        return utapi_fail(err, UTAPI_CORRUPT, corrupt);
    const unsigned char *end = at + size - UTAPI_CHECKSUM_SIZE;
    const parts of = parts_of(ret);
    ret->act.kind = (utapi_admin_kind)at[1];
    ret->act.level = (utapi_level)at[2];
    at += 3;
    for (unsigned i = 0; i < NUMBERS; i++) {
        uint64_t number = 0;
        at = at != NULL ? utapi_varint_get(at, end, &number) : NULL;
        *of.numbers[i] = utapi_unzigzag(number);
    }
    for (unsigned i = 0; i < TEXTS; i++)
        at = part_get(at, end, of.texts[i]);
    for (unsigned i = 0; i < SETS; i++) {
        utapi_string snapshot = {NULL, 0};
        at = part_get(at, end, &snapshot);
        if (at == NULL ||
            utapi_snapshot_decode(snapshot.data, snapshot.size, of.sets[i], NULL, NULL) != UTAPI_OK)
            return utapi_fail(err, UTAPI_CORRUPT, corrupt);
    }
    const utapi_admin_act *act = &ret->act;
    const bool fits = act->id.size > 0 && act->id.size <= UTAPI_ADMIN_ID_MAX && act->name.size > 0 &&
                      act->name.size <= UTAPI_NAME_MAX;
    return at == end && fits ? UTAPI_OK : utapi_fail(err, UTAPI_CORRUPT, corrupt);
}
