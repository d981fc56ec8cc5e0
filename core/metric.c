/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c - names of levels, metrics and operations, and arithmetic on sets of amounts that never wraps. */
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

void utapi_sums_merge(utapi_sums *sums, const utapi_sums *more)
{
    FOR_EACH_METRIC (m, more->present)
        sums->of[m] = (sums->present >> m & 1U) != 0 ? sums->of[m] + more->of[m] : more->of[m];
    sums->present |= more->present;
}

void utapi_sums_add_amounts(utapi_sums *sums, const utapi_amounts *amounts)
{
    FOR_EACH_METRIC (m, amounts->present)
        utapi_sums_add(sums, m, amounts->of[m]);
}

utapi_status utapi_amounts_add(utapi_amounts *totals, const utapi_sums *sums, utapi_error *err)
{
    FOR_EACH_METRIC (m, sums->present) {
        const utapi_wide total = sums->of[m] + utapi_amounts_get(totals, m);
        if (total < INT64_MIN || total > INT64_MAX)
            return utapi_fail(err, UTAPI_OVERFLOW, "%s: the total would not fit 64 bits",
                              utapi_metric_name(m));
    }
    FOR_EACH_METRIC (m, sums->present)
        utapi_amounts_set(totals, m, (int64_t)(sums->of[m] + utapi_amounts_get(totals, m)));
    return UTAPI_OK;
}

utapi_status utapi_amounts_add_delta(utapi_amounts *totals, const utapi_amounts *delta, utapi_error *err)
{
    utapi_sums sums;
    sums.present = 0;
    utapi_sums_add_amounts(&sums, delta);
    return utapi_amounts_add(totals, &sums, err);
}

utapi_status utapi_amounts_subtract(utapi_amounts *totals, const utapi_amounts *base, utapi_error *err)
{
    utapi_sums sums = {.present = base->present};
    FOR_EACH_METRIC (m, base->present)
        sums.of[m] = -(utapi_wide)base->of[m];
    return utapi_amounts_add(totals, &sums, err);
}
