/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_journal.c - records of a journal, as a disk may give them back: the bytes before the checksum, which is added.
 *
 * Promises: nothing crashes or leaks, with a right checksum or without one; what is read keeps the bounds of the
 * contract and lies within the record; written again, it is read to the same.
 */
#include "fuzz_target.h"
#include "record.h"

#include "utapi/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_text(utapi_string text, const unsigned char *record, size_t size)
{
    const unsigned char *at = (const unsigned char *)text.data;
    FUZZ_CHECK(text.size == 0 || (at >= record && text.size <= size && at + text.size <= record + size));
}

static void check_entry(const utapi_record *group, size_t i, const unsigned char *record, size_t size)
{
    const utapi_entry *entry = &group->entries[i];
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        FUZZ_CHECK(entry->resource[level].size <= UTAPI_NAME_MAX);
        check_text(entry->resource[level], record, size);
    }
    FUZZ_CHECK(entry->uuid.size <= UTAPI_NAME_MAX);
    check_text(entry->uuid, record, size);
    check_text(entry->action, record, size);
    check_text(entry->keys, record, size);
    FUZZ_CHECK(entry->accepted_ms == group->entries[0].accepted_ms);
    FUZZ_CHECK(entry->expiry != UTAPI_EXPIRE_LATER || entry->expire_at_ms > group->now_ms ||
               group->now_ms == INT64_MAX);
    FUZZ_CHECK(entry->operation == UTAPI_OP_NONE || (unsigned)entry->operation < UTAPI_OPERATION_COUNT);
}

static unsigned char *write_group(const utapi_record *group, size_t *ret_size)
{
    const utapi_batch batch = {.entries = group->entries, .count = group->count, .now_ms = group->now_ms};
    const size_t most = utapi_record_max(&batch);
    unsigned char *bytes = malloc(most);
    FUZZ_CHECK(bytes != NULL);
    *ret_size = utapi_record_encode(&batch, NULL, bytes);
    FUZZ_CHECK(*ret_size <= most);
    return bytes;
}

/* A number may be written in many ways, of which only the shortest is ours: so the second writing is compared. */
static void check_group(const utapi_record *group)
{
    size_t size, again_size;
    utapi_record read;
    unsigned char *bytes = write_group(group, &size);
    FUZZ_CHECK(utapi_record_decode(bytes, size, &read, NULL) == UTAPI_OK);
    FUZZ_CHECK(read.count == group->count && read.now_ms == group->now_ms && !read.is_raised);
    unsigned char *again = write_group(&read, &again_size);
    FUZZ_CHECK(again_size == size && memcmp(again, bytes, size) == 0);
    free(again);
    free(read.entries);
    free(bytes);
}

static void read_record(const unsigned char *record, size_t size)
{
    utapi_record group;
    int64_t now_ms = 0;
    const bool peeked = utapi_record_peek(record, size, &now_ms);
    if (utapi_record_decode(record, size, &group, NULL) != UTAPI_OK)
        return;
    FUZZ_CHECK(peeked && now_ms == group.now_ms);
    for (size_t i = 0; i < group.count; i++)
        check_entry(&group, i, record, size);
    check_group(&group);
    free(group.entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *record = calloc(1, size + UTAPI_CHECKSUM_SIZE); /* of its own: a byte too far is seen */
    FUZZ_CHECK(record != NULL);
    if (size > 0)
        memcpy(record, data, size);
    (void)utapi_checksum_put(record, record + size);
    read_record(record, size + UTAPI_CHECKSUM_SIZE);
    record[size] ^= 1;
    read_record(record, size + UTAPI_CHECKSUM_SIZE);
    read_record(record, size);
    free(record);
    return 0;
}
