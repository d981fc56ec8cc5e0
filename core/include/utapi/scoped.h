/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scoped.h - cleanup at every return: for use inside .c files, never in another header.
 *
 *     UTAPI_AUTO_DEFINE(utapi_aggregation, utapi_aggregation_free)
 *     ...
 *     UTAPI_AUTO(utapi_aggregation) *sums = NULL;     freed at every return
 *     *ret = UTAPI_TAKE(sums);                 unless it is handed over
 */
#ifndef UTAPI_SCOPED_H
#define UTAPI_SCOPED_H

#include <stdlib.h>

/** Says how a variable `UTAPI_AUTO(type) *x` is freed. The destructor must take NULL. */
#define UTAPI_AUTO_DEFINE(type, destructor)               \
    static inline void utapi_auto_##type(type **variable) \
    {                                                     \
        destructor(*variable);                            \
    }

#define UTAPI_AUTO(type) __attribute__((cleanup(utapi_auto_##type))) type

/** Memory that is freed with free(): `UTAPI_AUTO_FREE bool *skip = calloc(...)`. */
#define UTAPI_AUTO_FREE __attribute__((cleanup(utapi_auto_free)))
static inline void utapi_auto_free(void *variable)
{
    free(*(void **)variable);
}

/** The pointer's value; the variable is NULL afterwards. */
#define UTAPI_TAKE(variable)             \
    __extension__({                      \
        __auto_type taken_ = (variable); \
        (variable) = NULL;               \
        taken_;                          \
    })

#endif
