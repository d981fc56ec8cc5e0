/* SPDX-License-Identifier: Apache-2.0 */
/**
 * answer.h - comparing what we answer with what a vector expects.
 *
 * A vector leaves out operations that are 0; the order of an answer's operations is operations.json's.
 */
#ifndef GOLDEN_ANSWER_H
#define GOLDEN_ANSWER_H

#include "utapi/usage.h"

#include <jansson.h>

/**
 * Compares usage with one element of a query's `expect`.
 *
 * @return NULL if they are equal, else the name of the first member that differs
 */
const char *answer_differs_usage(const json_t *expect, utapi_range range, const utapi_usage *usage);

/** Likewise, for one element of an answer that came as JSON; operations in the order of operations.json. */
const char *answer_differs_json(const json_t *expect, const json_t *operations, const json_t *answer);

#endif
