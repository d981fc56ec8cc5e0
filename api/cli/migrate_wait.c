/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_wait.c - see migrate_wait.h. Whether a storage can be reached at all is what its figures tell. */
#include "cli/migrate_wait.h"

#include "cli/options.h"
#include "utapi/clock.h"

#include <time.h>

/* A Redis that writes its file anew is waited for by its backend no longer than ten minutes. */
#define WAIT_MOST_MS INT64_C(660000)

static bool is_reached(utapi_backend *storage)
{
    utapi_stats stats;
    return utapi_backend_stats(storage, &stats, NULL) == UTAPI_OK;
}

bool migrate_wait_more(migrate_wait *self, utapi_backend *storage, utapi_status status,
                       const utapi_error *why, progress *shown)
{
    static const struct timespec pause = {.tv_nsec = 200000000};
    if (status != UTAPI_UNAVAILABLE || !is_reached(storage))
        return false;
    if (self->until_ms == 0) {
        self->until_ms = utapi_monotonic_ms() + WAIT_MOST_MS;
        progress_clear(shown);
        cli_say("waiting, for at most %d minutes: %s", (int)(WAIT_MOST_MS / 60000), why->detail);
    }
    (void)nanosleep(&pause, NULL);
    return utapi_monotonic_ms() < self->until_ms;
}
