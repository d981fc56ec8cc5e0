/* SPDX-License-Identifier: Apache-2.0 */
/**
 * readiness.h - whether a server is to be relied on: what /_/ready, /_/status and the metrics say of that
 * (docs/specification.md#readiness). Thread-safe.
 */
#ifndef HANDLERS_READINESS_H
#define HANDLERS_READINESS_H

#include "handlers/router.h"

enum { READINESS_REASONS_MAX = 4, READINESS_REASON_BYTES = 200 };

/** What was looked at, and what is wrong with it. */
typedef struct readiness {
    utapi_health health;
    bool storage_answers;                 /* the figures of health are there */
    uint64_t disk_bytes, disk_free_bytes; /* of the file system that the data is on; 0: not known */
    char reasons[READINESS_REASONS_MAX][READINESS_REASON_BYTES];
    size_t reason_count; /* 0: ready */
} readiness;

/** Looks; waits for nothing. */
void readiness_look(const http_service *service, readiness *ret);

#endif
