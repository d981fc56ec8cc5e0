/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fake_backend.h - storage that keeps nothing but a record of what it was asked, and answers as told.
 *
 * It holds one total, of bytes stored by the service, so that an overflow can be provoked.
 */
#ifndef FAKE_BACKEND_H
#define FAKE_BACKEND_H

#include "utapi/backend.h"

#include <pthread.h>

typedef struct fake_backend {
    utapi_backend base;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool held;           /* apply waits while set */
    utapi_status answer; /* of apply, unless it overflows */
    bool is_well;        /* stats succeeds */
    int64_t storage;     /* the one total */
    size_t applies, maintained, entries;
    size_t largest_batch;
    utapi_entry last; /* the last entry applied; its strings may be gone */
    int64_t last_accepted_ms;
    utapi_query last_query;
    int64_t read_storage; /* what read answers for storage_utilized[0] and [1] */
} fake_backend;

void fake_backend_init(fake_backend *fake);

/** Makes apply wait (true), or lets it go on. */
void fake_backend_hold(fake_backend *fake, bool held);

/** Waits until apply was called that often (also when it is being held). */
void fake_backend_wait_applies(fake_backend *fake, size_t applies);

#endif
