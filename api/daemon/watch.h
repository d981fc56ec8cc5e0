/* SPDX-License-Identifier: Apache-2.0 */
/**
 * watch.h - looks now and then how storage is, and tells the log.
 */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "utapi/engine.h"

/** What the log was told of. */
typedef struct watch {
    bool is_warned, is_skewed;
    int64_t certificate_told_ms; /* likewise */
    int64_t room_warned_ms;      /* on the monotonic clock; 0: never */
    uint64_t dead_letters, lost; /* events, ever */
} watch;

/** Begins: what is so by now is not told. */
void watch_begin(watch *seen, utapi_engine *engine);

/**
 * Says when something is not well, and when that is over; what it is may change meanwhile. Where events could not be
 * stored, it is not over until others were: that none were sent since proves nothing.
 *
 * @param certificate_until_s  since the epoch; 0: there is none. One that ends within two weeks is told of each day
 */
void watch_look(watch *seen, utapi_engine *engine, bool has_journal, int64_t certificate_until_s);

#endif
