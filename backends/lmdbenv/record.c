/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - the stored form of a group of entries.
 *
 *     byte 0    1, the version
 *     varints   count, now_ms, accepted_ms
 *     entries   a varint of flags, then what the flags say is there
 *     4 bytes   CRC-32C of all before it, little-endian
 *
 * Of an act the version is 2, the count 1, and the entry a row of the audit (utapi/admin_act.h) that is not filled in.
 *
 * Varints are LEB128, signed ones zigzag; strings are a length and bytes. The decoder may be given any bytes. */
#include "record.h"

#include "utapi/codec.h"
#include "utapi/scoped.h"

#include <string.h>

enum { VERSION = 1, VERSION_ACT = 2, NUMBERS_MAX = 12 + UTAPI_FIRST_OPERATION };

/* The flags of an entry: bits, from the lowest. */
enum {
    HAS_RESOURCE = 0, /* one for each level */
    HAS_DELTA = HAS_RESOURCE + UTAPI_LEVEL_COUNT,
    HAS_UUID = HAS_DELTA + UTAPI_FIRST_OPERATION,
    HAS_ACTION,
    HAS_KEYS,
    HAS_OPERATION,
    EXPIRE_NOW,
    EXPIRE_LATER,
    FLAG_COUNT
};

#define FLAG(bit) (UINT64_C(1) << (bit))

/* ---- writing ------------------------------------------------------------------------------ */

static unsigned char *put_signed(unsigned char *at, int64_t number)
{
    return utapi_varint_put(at, utapi_zigzag(number));
}

static unsigned char *put_text(unsigned char *at, utapi_string text)
{
    at = utapi_varint_put(at, text.size);
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

static uint64_t entry_flags(const utapi_entry *entry)
{
    uint64_t flags = 0;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (entry->resource[level].size > 0)
            flags |= FLAG(HAS_RESOURCE + level);
    for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
        if (entry->delta[m] != 0)
            flags |= FLAG(HAS_DELTA + m);
    flags |= entry->uuid.size > 0 ? FLAG(HAS_UUID) : 0;
    flags |= entry->action.size > 0 ? FLAG(HAS_ACTION) : 0;
    flags |= entry->keys.size > 0 ? FLAG(HAS_KEYS) : 0;
    flags |= entry->operation != UTAPI_OP_NONE ? FLAG(HAS_OPERATION) : 0;
    flags |= entry->expiry == UTAPI_EXPIRE_NOW ? FLAG(EXPIRE_NOW) : 0;
    flags |= entry->expiry == UTAPI_EXPIRE_LATER ? FLAG(EXPIRE_LATER) : 0;
    return flags;
}

int64_t utapi_record_expire_at(const utapi_entry *entry, int64_t now_ms)
{
    return entry->expire_at_ms > now_ms || now_ms == INT64_MAX ? entry->expire_at_ms : now_ms + 1;
}

static unsigned char *put_entry(unsigned char *at, const utapi_entry *entry, int64_t now_ms)
{
    const uint64_t flags = entry_flags(entry);
    at = utapi_varint_put(at, flags);
    at = put_signed(at, entry->time_ms);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (entry->resource[level].size > 0)
            at = put_text(at, entry->resource[level]);
    for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
        if (entry->delta[m] != 0)
            at = put_signed(at, entry->delta[m]);
    if ((flags & FLAG(HAS_UUID)) != 0)
        at = put_signed(put_text(at, entry->uuid), entry->uuid_time_ms);
    if ((flags & FLAG(HAS_ACTION)) != 0)
        at = put_text(at, entry->action);
    if ((flags & FLAG(HAS_KEYS)) != 0)
        at = put_text(at, entry->keys);
    if ((flags & FLAG(HAS_OPERATION)) != 0)
        at = utapi_varint_put(at, (uint64_t)entry->operation);
    if ((flags & FLAG(EXPIRE_LATER)) != 0)
        at = put_signed(at, utapi_record_expire_at(entry, now_ms));
    return at;
}

size_t utapi_record_max(const utapi_batch *batch)
{
    size_t size = 1 + 3 * UTAPI_VARINT_MAX + UTAPI_CHECKSUM_SIZE;
    if (utapi_batch_act(batch) != NULL)
        size += utapi_audit_row_max(utapi_batch_act(batch));
    for (size_t i = 0; i < batch->count; i++) {
        const utapi_entry *entry = &batch->entries[i];
        size += (NUMBERS_MAX + UTAPI_LEVEL_COUNT) * UTAPI_VARINT_MAX + entry->uuid.size + entry->action.size +
                entry->keys.size;
        for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
            size += entry->resource[level].size;
    }
    return size;
}

size_t utapi_record_encode(const utapi_batch *batch, const bool *skip, unsigned char *buffer)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += skip == NULL || !skip[i];
    const utapi_admin_act *act = utapi_batch_act(batch);
    unsigned char *at = buffer;
    *at++ = act != NULL ? VERSION_ACT : VERSION;
    at = utapi_varint_put(at, count);
    at = put_signed(at, batch->now_ms);
    at = put_signed(at, batch->entries[0].accepted_ms);
    if (act != NULL)
        at += utapi_audit_row_encode(&(utapi_audit_row){.act = *act}, at);
    for (size_t i = 0; i < batch->count && act == NULL; i++)
        if (skip == NULL || !skip[i])
            at = put_entry(at, &batch->entries[i], batch->now_ms);
    at = utapi_checksum_put(buffer, at);
    return (size_t)(at - buffer);
}

/* ---- reading ------------------------------------------------------------------------------ */

typedef struct reader {
    const unsigned char *at, *end;
    bool failed; /* it ended too soon, or holds what encode never writes */
} reader;

static uint64_t get_number(reader *in)
{
    uint64_t number = 0;
    const unsigned char *end = utapi_varint_get(in->at, in->end, &number);
    in->failed |= end == NULL;
    in->at = end != NULL ? end : in->end;
    return number;
}

static int64_t get_signed(reader *in)
{
    return utapi_unzigzag(get_number(in));
}

static utapi_string get_text(reader *in, size_t max)
{
    const uint64_t size = get_number(in);
    if (in->failed || size == 0 || size > max || size > (uint64_t)(in->end - in->at)) {
        in->failed = true;
        return (utapi_string){.size = 0};
    }
    const utapi_string text = {.data = (const char *)in->at, .size = (size_t)size};
    in->at += size;
    return text;
}

static utapi_operation get_operation(reader *in)
{
    const uint64_t operation = get_number(in);
    in->failed |= operation >= UTAPI_OPERATION_COUNT;
    return in->failed ? UTAPI_OP_NONE : (utapi_operation)operation;
}

static void get_entry(reader *in, utapi_entry *ret)
{
    *ret = (utapi_entry){.operation = UTAPI_OP_NONE};
    const uint64_t flags = get_number(in);
    in->failed |= flags >= FLAG(FLAG_COUNT);
    ret->time_ms = get_signed(in);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if ((flags & FLAG(HAS_RESOURCE + level)) != 0)
            ret->resource[level] = get_text(in, UTAPI_NAME_MAX);
    for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
        if ((flags & FLAG(HAS_DELTA + m)) != 0)
            ret->delta[m] = get_signed(in);
    if ((flags & FLAG(HAS_UUID)) != 0) {
        ret->uuid = get_text(in, UTAPI_NAME_MAX);
        ret->uuid_time_ms = get_signed(in);
    }
    if ((flags & FLAG(HAS_ACTION)) != 0)
        ret->action = get_text(in, SIZE_MAX);
    if ((flags & FLAG(HAS_KEYS)) != 0)
        ret->keys = get_text(in, SIZE_MAX);
    if ((flags & FLAG(HAS_OPERATION)) != 0)
        ret->operation = get_operation(in);
    if ((flags & FLAG(EXPIRE_NOW)) != 0)
        ret->expiry = UTAPI_EXPIRE_NOW;
    if ((flags & FLAG(EXPIRE_LATER)) != 0) {
        ret->expiry = UTAPI_EXPIRE_LATER;
        ret->expire_at_ms = get_signed(in);
    }
}

static utapi_status corrupt(utapi_error *err)
{
    return utapi_fail(err, UTAPI_CORRUPT, "the journal holds a group that cannot be read");
}

bool utapi_record_peek(const void *data, size_t size, int64_t *ret_now_ms)
{
    const unsigned char *bytes = data;
    if (size < 1 + UTAPI_CHECKSUM_SIZE || (bytes[0] != VERSION && bytes[0] != VERSION_ACT))
        return false;
    reader in = {.at = bytes + 1, .end = bytes + size - UTAPI_CHECKSUM_SIZE};
    (void)get_number(&in);
    *ret_now_ms = get_signed(&in);
    return !in.failed;
}

/* The act lies behind its entry. */
static utapi_status get_act(reader *in, uint64_t count, int64_t accepted_ms, utapi_record *ret,
                            utapi_error *err)
{
    typedef struct entry_with_act {
        utapi_entry entry;
        utapi_audit_row row;
    } entry_with_act;
    UTAPI_AUTO_FREE entry_with_act *both = malloc(sizeof *both);
    if (both == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "an act of the journal");
    if (count != 1 ||
        utapi_audit_row_decode(in->at, (size_t)(in->end - in->at), &both->row, NULL) != UTAPI_OK)
        return corrupt(err);
    both->entry = utapi_admin_entry(&both->row.act);
    both->entry.accepted_ms = accepted_ms;
    ret->count = 1;
    ret->entries = &UTAPI_TAKE(both)->entry;
    return UTAPI_OK;
}

utapi_status utapi_record_decode(const void *data, size_t size, utapi_record *ret, utapi_error *err)
{
    const unsigned char *bytes = data;
    if (size < 1 + UTAPI_CHECKSUM_SIZE || (bytes[0] != VERSION && bytes[0] != VERSION_ACT) ||
        !utapi_checksum_fits(bytes, size))
        return corrupt(err);
    reader in = {.at = bytes + 1, .end = bytes + size - UTAPI_CHECKSUM_SIZE};
    const uint64_t count = get_number(&in);
    *ret = (utapi_record){.now_ms = get_signed(&in)};
    const int64_t accepted_ms = get_signed(&in);
    if (in.failed || count == 0 || count > size) /* an entry has more bytes than one */
        return corrupt(err);
    if (bytes[0] == VERSION_ACT)
        return get_act(&in, count, accepted_ms, ret, err);
    UTAPI_AUTO_FREE utapi_entry *entries = malloc((size_t)count * sizeof *entries);
    if (entries == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events of the journal", (size_t)count);
    for (size_t i = 0; i < count && !in.failed; i++) {
        utapi_entry *entry = &entries[i];
        get_entry(&in, entry);
        entry->accepted_ms = accepted_ms;
        if (entry->expiry == UTAPI_EXPIRE_LATER) {
            const int64_t expire_at_ms = utapi_record_expire_at(entry, ret->now_ms);
            ret->is_raised |= expire_at_ms != entry->expire_at_ms;
            entry->expire_at_ms = expire_at_ms;
        }
    }
    if (in.failed || in.at != in.end)
        return corrupt(err);
    ret->count = (size_t)count;
    ret->entries = UTAPI_TAKE(entries);
    return UTAPI_OK;
}
