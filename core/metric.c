/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c - names of levels, metrics and operations, and arithmetic on sets of amounts. */
#include "utapi/metric.h"

#include <string.h>
#include <strings.h>

static const char *const level_names[UTAPI_LEVEL_COUNT] = {
#define X(name, path, member) [UTAPI_##name] = path,
    UTAPI_LEVEL_MAP(X)
#undef X
};

static const char *const metric_names[UTAPI_METRIC_COUNT] = {
#define X(name, text) [UTAPI_##name] = text,
    UTAPI_METRIC_MAP(X)
#undef X
#define UTAPI_OPERATION(name, text) [UTAPI_FIRST_OPERATION + UTAPI_OP_##name] = text,
#include "utapi/operations.def"
#undef UTAPI_OPERATION
};

const char *utapi_level_name(utapi_level level)
{
    return level_names[level];
}

/* Where a name stands in a list; `count` if it does not. */
static unsigned name_find(const char *const *names, unsigned count, utapi_string name)
{
    unsigned i = 0;
    while (i < count && !utapi_string_equal(name, utapi_string_of(names[i])))
        i++;
    return i;
}

bool utapi_level_find(utapi_string name, utapi_level *ret)
{
    const unsigned level = name_find(level_names, UTAPI_LEVEL_COUNT, name);
    if (level < UTAPI_LEVEL_COUNT)
        *ret = (utapi_level)level;
    return level < UTAPI_LEVEL_COUNT;
}

const char *utapi_operation_name(utapi_operation operation)
{
    return metric_names[UTAPI_FIRST_OPERATION + operation];
}

bool utapi_operation_find(utapi_string name, utapi_operation *ret)
{
    for (unsigned i = 0; i < UTAPI_OPERATION_COUNT; i++) {
        const char *known = utapi_operation_name((utapi_operation)i);
        if (strlen(known) == name.size && strncasecmp(known, name.data, name.size) == 0) {
            *ret = (utapi_operation)i;
            return true;
        }
    }
    return false;
}

const char *utapi_metric_name(unsigned metric)
{
    return metric_names[metric];
}

unsigned utapi_metric_find(utapi_string name)
{
    return name_find(metric_names, UTAPI_METRIC_COUNT, name);
}

/* Iterates over the metrics of a set, lowest first. */
#define FOR_EACH_METRIC(metric, set)                             \
    for (uint64_t left_ = (set); left_ != 0; left_ &= left_ - 1) \
        for (unsigned metric = (unsigned)__builtin_ctzll(left_), once_ = 1; once_ != 0; once_ = 0)

void utapi_amounts_copy(const utapi_amounts *from, utapi_amounts *to)
{
    to->present = from->present;
    FOR_EACH_METRIC (m, from->present)
        to->of[m] = from->of[m];
}

bool utapi_amounts_equal(const utapi_amounts *left, const utapi_amounts *right)
{
    FOR_EACH_METRIC (m, left->present | right->present)
        if (utapi_amounts_get(left, m) != utapi_amounts_get(right, m))
            return false;
    return true;
}

void utapi_amounts_add(utapi_amounts *totals, const utapi_amounts *more)
{
    FOR_EACH_METRIC (m, more->present)
        utapi_amounts_add_one(totals, m, more->of[m]);
}

void utapi_amounts_subtract(utapi_amounts *totals, const utapi_amounts *base)
{
    FOR_EACH_METRIC (m, base->present)
        utapi_amounts_add_one(totals, m, -base->of[m]);
}

const char *utapi_wide_text(utapi_wide number, char text[static UTAPI_WIDE_TEXT_SIZE])
{
    char digits[UTAPI_WIDE_TEXT_SIZE];
    size_t first = sizeof digits;
    utapi_wide left = number;
    do {
        const int digit = (int)(left % 10);
        digits[--first] = (char)('0' + (digit < 0 ? -digit : digit));
        left /= 10;
    } while (left != 0);
    char *at = text;
    if (number < 0)
        *at++ = '-';
    memcpy(at, digits + first, sizeof digits - first);
    at[sizeof digits - first] = '\0';
    return text;
}
