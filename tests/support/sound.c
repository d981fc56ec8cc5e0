/* SPDX-License-Identifier: Apache-2.0 */
/* sound.c - see sound.h. */
#include "sound.h"

#include "check.h"

static void on_finding(void *ctx, const char *what)
{
    (void)ctx;
    fail_msg("%s", what);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done <= total);
}

void support_sound(const utapi_backend_ops *kind, const char *location)
{
    const utapi_check to = {.on_finding = on_finding, .on_progress = on_progress};
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(utapi_backend_check(kind, location, &to, &err), &err);
}
