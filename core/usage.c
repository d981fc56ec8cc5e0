/* SPDX-License-Identifier: Apache-2.0 */
/* usage.c - usage over a range as the difference of rows (docs/architecture.md#running-totals). */
#include "utapi/usage.h"

void utapi_usage_clear(utapi_usage *usage)
{
    for (unsigned i = 0; i < 2; i++)
        usage->storage_utilized[i] = usage->number_of_objects[i] = 0;
    utapi_amounts_clear(&usage->flows); /* whose kilobyte is not touched */
    usage->expired_ms = 0;
}

void utapi_usage_of_rows(const utapi_amounts *before, const utapi_amounts *first, const utapi_amounts *last,
                         utapi_usage *ret)
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
        const utapi_wide flow = utapi_amounts_get(last, m) - utapi_amounts_get(before, m);
        if (flow != 0)
            utapi_amounts_set(&ret->flows, m, flow);
    }
}

/* Cuts a figure to 64 bits; returns whether it had more. */
static bool figure_cut(utapi_wide *figure)
{
    const utapi_wide exact = *figure;
    *figure = utapi_wide_cut(exact);
    return *figure != exact;
}

unsigned utapi_usage_clamp(utapi_usage *usage)
{
    utapi_wide *const states[] = {&usage->storage_utilized[0], &usage->storage_utilized[1],
                                  &usage->number_of_objects[0], &usage->number_of_objects[1]};
    unsigned cut = 0;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (*states[i] < 0)
            *states[i] = 0;
        cut += figure_cut(states[i]);
    }
    for (uint64_t left = usage->flows.present; left != 0; left &= left - 1)
        cut += figure_cut(&usage->flows.of[__builtin_ctzll(left)]);
    return cut;
}
