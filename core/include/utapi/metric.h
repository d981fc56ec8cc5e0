/* SPDX-License-Identifier: Apache-2.0 */
/**
 * metric.h - what is measured: levels, operations, and amounts of each metric.
 *
 * The words of docs/specification.md#vocabulary. A metric is one of the four byte and object figures or the
 * count of one operation; `utapi_amounts` holds a 64-bit amount for any set of them. Pure functions and plain
 * data: safe from any thread.
 */
#ifndef UTAPI_METRIC_H
#define UTAPI_METRIC_H

#include "utapi/status.h"
#include "utapi/string.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- levels ------------------------------------------------------------------------------- */

/*      name in code  name in paths  member of the answer that names the resource */
#define UTAPI_LEVEL_MAP(X)               \
    X(BUCKETS, "buckets", "bucketName")  \
    X(ACCOUNTS, "accounts", "accountId") \
    X(USERS, "users", "userId")          \
    X(SERVICE, "service", "serviceName") \
    X(LOCATIONS, "locations", "locationName")

typedef enum utapi_level {
#define X(name, path, member) UTAPI_##name,
    UTAPI_LEVEL_MAP(X)
#undef X
        UTAPI_LEVEL_COUNT
} utapi_level;

/** A set of levels, one bit for each: UTAPI_LEVEL_BIT(UTAPI_BUCKETS) | ... */
typedef unsigned utapi_level_set;
#define UTAPI_LEVEL_BIT(level) (1U << (level))
#define UTAPI_ALL_LEVELS       ((1U << UTAPI_LEVEL_COUNT) - 1U)

/** "buckets", "accounts", ... Static storage. */
const char *utapi_level_name(utapi_level level);

/** Finds a level by its name, exactly; false, and *ret untouched, if there is none. */
bool utapi_level_find(utapi_string name, utapi_level *ret);

/* ---- operations --------------------------------------------------------------------------- */

typedef enum utapi_operation {
#define UTAPI_OPERATION(name, text) UTAPI_OP_##name,
#include "utapi/operations.def"
#undef UTAPI_OPERATION
    UTAPI_OPERATION_COUNT,
    UTAPI_OP_NONE = UTAPI_OPERATION_COUNT /* no operation is counted */
} utapi_operation;

/** A set of operations, one bit for each. */
typedef uint64_t utapi_operation_set;
#define UTAPI_OPERATION_BIT(operation) (UINT64_C(1) << (operation))
#define UTAPI_ALL_OPERATIONS           ((UINT64_C(1) << UTAPI_OPERATION_COUNT) - 1U)

/** The name an operation is reported under, without "s3:": "PutObject". Static storage. */
const char *utapi_operation_name(utapi_operation operation);

/** Finds an operation by that name, without regard to case; false, and *ret untouched, if there is none. */
bool utapi_operation_find(utapi_string name, utapi_operation *ret);

/* ---- amounts ------------------------------------------------------------------------------ */

/* A row's position is its number in stored rows. The first two are states, the others flows.
 *      name in code      name in answers, keys and messages */
#define UTAPI_METRIC_MAP(X)                 \
    X(STORAGE_UTILIZED, "storageUtilized")  \
    X(NUMBER_OF_OBJECTS, "numberOfObjects") \
    X(INCOMING_BYTES, "incomingBytes")      \
    X(OUTGOING_BYTES, "outgoingBytes")

typedef enum utapi_metric {
#define X(name, text) UTAPI_##name,
    UTAPI_METRIC_MAP(X)
#undef X
        UTAPI_FIRST_OPERATION, /* flow: the count of operation o is metric UTAPI_FIRST_OPERATION + o */
    UTAPI_METRIC_COUNT = UTAPI_FIRST_OPERATION + UTAPI_OPERATION_COUNT
} utapi_metric;

/** "storageUtilized", ..., or an operation's name. Static storage. */
const char *utapi_metric_name(unsigned metric);

/** The metric of such a name, exactly; UTAPI_METRIC_COUNT: none has it. */
unsigned utapi_metric_find(utapi_string name);

/** Whether a metric tells how things stand, rather than what happened. */
static inline bool utapi_metric_is_state(unsigned metric)
{
    return metric < UTAPI_INCOMING_BYTES;
}

/** 128 bits: wide enough for the sum of 2^57 amounts of 64 bits. */
__extension__ typedef __int128 utapi_wide;

/**
 * An amount for each metric of a set: a delta, or totals. of[m] means something only where bit m of present is set;
 * the others are zero by definition and their storage is not initialised, so an empty one costs one word. An event's
 * amounts have 64 bits, and so have the figures of an answer (utapi_usage_clamp()); what lies between never leaves 128
 * (docs/specification.md#amounts).
 */
typedef struct utapi_amounts {
    uint64_t present;
    utapi_wide of[UTAPI_METRIC_COUNT];
} utapi_amounts;

_Static_assert(UTAPI_METRIC_COUNT <= 64, "a set of metrics is a 64-bit mask");

/** Makes every amount zero. */
static inline void utapi_amounts_clear(utapi_amounts *amounts)
{
    amounts->present = 0;
}

/** The amount of one metric; 0 where it is not present. */
static inline utapi_wide utapi_amounts_get(const utapi_amounts *amounts, unsigned metric)
{
    return (amounts->present >> metric & 1U) != 0 ? amounts->of[metric] : 0;
}

/** Sets the amount of one metric. */
static inline void utapi_amounts_set(utapi_amounts *amounts, unsigned metric, utapi_wide amount)
{
    amounts->present |= UINT64_C(1) << metric;
    amounts->of[metric] = amount;
}

/** Adds to the amount of one metric. */
static inline void utapi_amounts_add_one(utapi_amounts *amounts, unsigned metric, utapi_wide amount)
{
    utapi_amounts_set(amounts, metric, utapi_amounts_get(amounts, metric) + amount);
}

/** Copies the present amounts. */
void utapi_amounts_copy(const utapi_amounts *from, utapi_amounts *to);

/** Whether both hold the same amount of each metric; a zero that is present equals one that is not. */
bool utapi_amounts_equal(const utapi_amounts *left, const utapi_amounts *right);

/** totals += more. */
void utapi_amounts_add(utapi_amounts *totals, const utapi_amounts *more);

/** totals -= base. */
void utapi_amounts_subtract(utapi_amounts *totals, const utapi_amounts *base);

/** The nearest number of 64 bits between -(2^63 - 1) and 2^63 - 1. */
static inline int64_t utapi_wide_cut(utapi_wide amount)
{
    if (amount > INT64_MAX)
        return INT64_MAX;
    return amount < -INT64_MAX ? -INT64_MAX : (int64_t)amount;
}

/** Writes a number in decimal digits, with a NUL. Returns text. */
enum { UTAPI_WIDE_TEXT_SIZE = 41 };
const char *utapi_wide_text(utapi_wide number, char text[static UTAPI_WIDE_TEXT_SIZE]);

/** Whether a number has 64 bits. */
static inline bool utapi_wide_fits(utapi_wide amount)
{
    return amount >= INT64_MIN && amount <= INT64_MAX;
}

#endif
