/* SPDX-License-Identifier: Apache-2.0 */
/* usage.c - usage over a range as the difference of rows (docs/architecture.md#running-totals). */
#include "utapi/usage.h"

void utapi_usage_clear(utapi_usage *usage)
{
    *usage = (utapi_usage){.flows.present = 0};
}

utapi_status utapi_usage_of_rows(const utapi_amounts *before, const utapi_amounts *first,
                                 const utapi_amounts *last, utapi_usage *ret, utapi_error *err)
{
    static const utapi_amounts nothing = {.present = 0};
    before = before != NULL ? before : &nothing;
    first = first != NULL ? first : &nothing;
    last = last != NULL ? last : &nothing;
    ret->storage_utilized[0] = utapi_amounts_get(first, UTAPI_STORAGE_UTILIZED);
    ret->storage_utilized[1] = utapi_amounts_get(last, UTAPI_STORAGE_UTILIZED);
    ret->number_of_objects[0] = utapi_amounts_get(first, UTAPI_NUMBER_OF_OBJECTS);
    ret->number_of_objects[1] = utapi_amounts_get(last, UTAPI_NUMBER_OF_OBJECTS);

    utapi_amounts_clear(&ret->flows);
    uint64_t left = (before->present | last->present) >> UTAPI_INCOMING_BYTES << UTAPI_INCOMING_BYTES;
    for (; left != 0; left &= left - 1) {
        const unsigned m = (unsigned)__builtin_ctzll(left);
        int64_t flow;
        if (__builtin_sub_overflow(utapi_amounts_get(last, m), utapi_amounts_get(before, m), &flow))
            return utapi_fail(err, UTAPI_OVERFLOW, "a flow over this range does not fit 64 bits");
        if (flow != 0)
            utapi_amounts_set(&ret->flows, m, flow);
    }
    return UTAPI_OK;
}

static int64_t not_below_zero(int64_t amount)
{
    return amount > 0 ? amount : 0;
}

void utapi_usage_clamp(utapi_usage *usage)
{
    for (unsigned i = 0; i < 2; i++) {
        usage->storage_utilized[i] = not_below_zero(usage->storage_utilized[i]);
        usage->number_of_objects[i] = not_below_zero(usage->number_of_objects[i]);
    }
}
