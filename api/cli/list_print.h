/* SPDX-License-Identifier: Apache-2.0 */
/**
 * list_print.h - the answer of ListMetrics, for people and for programs.
 */
#ifndef CLI_LIST_PRINT_H
#define CLI_LIST_PRINT_H

#include "utapi/metric.h"

#include <jansson.h>
#include <stdio.h>

/** The answer as JSON, indented as CloudServer's list_metrics does. False if out of memory. */
bool list_print_json(const json_t *answer, FILE *out);

/** The answer as a table of usage, and the operations below. False for an answer that is none. */
bool list_print_table(utapi_level level, const json_t *answer, FILE *out);

#endif
