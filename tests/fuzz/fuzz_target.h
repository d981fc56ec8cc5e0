/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fuzz_target.h - what a fuzz target defines; libFuzzer or standalone_driver.c calls it.
 */
#ifndef FUZZ_FUZZ_TARGET_H
#define FUZZ_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/**
 * Feeds one input to the code under test; aborts if a promise of that code is broken.
 *
 * @param data  borrowed for the call; exactly size bytes, so that reading beyond is seen by AddressSanitizer
 * @return 0
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Aborts with the promise that was broken. */
#define FUZZ_CHECK(promise)                                                       \
    do {                                                                          \
        if (!(promise)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise); \
            abort();                                                              \
        }                                                                         \
    } while (0)

#endif
