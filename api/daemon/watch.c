/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - what changed since the last look, as lines of the log. */
#include "daemon/watch.h"

#include "handlers/log.h"
#include "utapi/clock.h"

#include <stdlib.h>

#define MS_PER_S           INT64_C(1000)
#define ROOM_SAID_EVERY_MS INT64_C(3600000)
#define DAY_S              INT64_C(86400)
#define CERTIFICATE_TOLD_S (14 * DAY_S)

/* Events that a policy refuses are logged as they come. */
static uint64_t refused_later(const utapi_dead_letter_stats *letters)
{
    uint64_t ever = 0;
    for (unsigned reason = UTAPI_REASON_OVERFLOW; reason < UTAPI_REASON_COUNT; reason++)
        ever += letters->ever[reason];
    return ever;
}

static void watch_losses(watch *seen, const utapi_health *health)
{
    const utapi_journal_stats *journal = &health->journal;
    const uint64_t dead_letters = refused_later(&health->letters);
    if (dead_letters > seen->dead_letters)
        log_write(LOG_LEVEL_WARN, NULL, "journal: %llu more can never be counted: utapictl dead-letters list",
                  (unsigned long long)(dead_letters - seen->dead_letters));
    if (journal->lost > seen->lost)
        log_write(LOG_LEVEL_WARN, NULL,
                  "journal: %llu more were lost by the storage, and it no longer had them",
                  (unsigned long long)(journal->lost - seen->lost));
    seen->dead_letters = dead_letters > seen->dead_letters ? dead_letters : seen->dead_letters;
    seen->lost = journal->lost;
}

static void watch_clock(watch *seen, int64_t skew_ms)
{
    const bool is_skewed = llabs(skew_ms) > UTAPI_CLOCK_SKEW_TOLD_MS;
    if (is_skewed && !seen->is_skewed)
        log_write(LOG_LEVEL_WARN, NULL, "storage: its clock is %.1f s %s this machine's",
                  (double)llabs(skew_ms) / MS_PER_S, skew_ms > 0 ? "ahead of" : "behind");
    seen->is_skewed = is_skewed;
}

/* What is nearly full may be so for long, and now more and now less. */
static void watch_room(watch *seen, const char *warning)
{
    const int64_t now_ms = utapi_monotonic_ms();
    if (*warning == '\0' || (seen->room_warned_ms != 0 && now_ms - seen->room_warned_ms < ROOM_SAID_EVERY_MS))
        return;
    log_write(LOG_LEVEL_WARN, NULL, "storage: %s", warning);
    seen->room_warned_ms = now_ms;
}

void watch_begin(watch *seen, utapi_engine *engine)
{
    utapi_health at_start;
    (void)!utapi_engine_health(engine, &at_start,
                               NULL); /* what was told at an earlier start is not told again */
    *seen = (watch){.dead_letters = refused_later(&at_start.letters), .lost = at_start.journal.lost};
}

static void watch_certificate(watch *seen, int64_t until_s)
{
    const int64_t now_ms = utapi_monotonic_ms(), left_s = until_s - utapi_wall_ms() / MS_PER_S;
    if (until_s == 0 || left_s > CERTIFICATE_TOLD_S ||
        (seen->certificate_told_ms != 0 && now_ms - seen->certificate_told_ms < DAY_S * MS_PER_S))
        return;
    log_write(LOG_LEVEL_WARN, NULL,
              left_s > 0 ? "the certificate ends in %lld days" : "the certificate has ended: %lld days",
              (long long)(left_s / DAY_S));
    seen->certificate_told_ms = now_ms;
}

void watch_look(watch *seen, utapi_engine *engine, bool has_journal, int64_t certificate_until_s)
{
    utapi_health health;
    utapi_error err = {0};
    const char *warning = health.warning;
    if (utapi_engine_health(engine, &health, &err) != UTAPI_OK)
        warning = *err.detail != '\0' ? err.detail : utapi_status_text(err.status);
    watch_certificate(seen, certificate_until_s);
    watch_losses(seen, &health);
    watch_clock(seen, health.storage.clock_skew_ms);
    watch_room(seen, health.storage.room_warning);
    if (*warning != '\0' && !seen->is_warned)
        log_write(LOG_LEVEL_WARN, NULL, "storage: %s%s", warning,
                  has_journal && !health.refuses ? "; events are still accepted, until the journal is full"
                                                 : "");
    const bool lasts = *warning != '\0' || (health.recovering && seen->is_warned);
    if (!lasts && seen->is_warned)
        log_write(LOG_LEVEL_INFO, NULL, "storage: all is well again");
    seen->is_warned = lasts;
}
