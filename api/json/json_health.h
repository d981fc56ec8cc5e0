/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_health.h - what the healthcheck says, events that were kept aside, and their acknowledgement. Pure.
 */
#ifndef JSON_HEALTH_H
#define JSON_HEALTH_H

#include "utapi/backend.h"
#include "json/json_text.h"

/**
 * Writes the body of a healthcheck: "{}", which is Utapi's, where there is no journal and nothing is wrong.
 *
 * @param now_ms    the clock that stats->journal.oldest_ms was taken from
 * @param ret_size  bytes
 * @return owned: free(). NULL if out of memory
 */
char *json_health(const utapi_stats *stats, int64_t now_ms, size_t *ret_size);

/** Adds an event that was kept aside, as an object. */
void json_dead_letter(utapi_text *text, const char *id, const utapi_entry *entry, const char *reason);

struct json_t;

/** What an operator has taken note of. */
typedef struct json_acknowledgement {
    utapi_string *refused; /* ids of events; owned, as what they point to: json_acknowledgement_done() */
    size_t count;          /* of ids */
    uint64_t lost;         /* how many, ever */
    struct json_t *document;
} json_acknowledgement;

/**
 * Reads {"refused": ["…", "…"], "lost": 0}. One that is not there is none.
 *
 * @param ret  all zero before; json_acknowledgement_done() whatever is returned
 * @return UTAPI_INVALID, naming the member; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status json_acknowledgement_read(utapi_string body, json_acknowledgement *ret,
                                                      utapi_error *err);

/** Frees what an acknowledgement holds. */
void json_acknowledgement_done(json_acknowledgement *what);

#endif
