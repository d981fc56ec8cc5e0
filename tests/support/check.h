/* SPDX-License-Identifier: Apache-2.0 */
/**
 * check.h - cmocka, and checks of our own types that print what they saw.
 */
#ifndef SUPPORT_CHECK_H
#define SUPPORT_CHECK_H

/* cmocka needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "utapi/status.h"

/** The call must return `expected`; on a difference both statuses and the error's detail are printed. */
#define CHECK_STATUS(expected, call, err)                                                                   \
    do {                                                                                                    \
        const utapi_status status_ = (call);                                                                \
        const utapi_status expected_ = (expected);                                                          \
        if (status_ != expected_)                                                                           \
            print_error("%s: %s (\"%s\"), expected %s\n", #call, utapi_status_text(status_), (err)->detail, \
                        utapi_status_text(expected_));                                                      \
        assert_int_equal(status_, expected_);                                                               \
        utapi_error_clear(err);                                                                             \
    } while (0)

/** The call must succeed. */
#define CHECK_OK(call, err) CHECK_STATUS(UTAPI_OK, call, err)

#endif
