/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_health.h - what the healthcheck says, dead letters, and their acknowledgement. Pure.
 */
#ifndef JSON_HEALTH_H
#define JSON_HEALTH_H

#include "utapi/health.h"
#include "json/json_text.h"

/**
 * Writes the body of a healthcheck: "{}", which is Utapi's, where there is no journal and nothing is wrong.
 *
 * @param now_ms    the clock that health->journal.oldest_ms was taken from
 * @param ret_size  bytes
 * @return owned: free(). NULL if out of memory
 */
char *json_health(const utapi_health *health, int64_t now_ms, size_t *ret_size);

/** How a dead letter is shown. Both are events of V2, which may be pushed once what refused them is mended. */
typedef enum json_letter_form {
    JSON_LETTER,        /* with its reason, detail, source, time and levels */
    JSON_LETTER_REFUSED /* of /_/journal/refused: with the detail as `reason` */
} json_letter_form;

/** Adds a dead letter, as an object. */
void json_dead_letter(utapi_text *text, json_letter_form form, const utapi_dead_letter *letter);

/** Adds the members `"kept":1,"dropped":[{"reason":"late","source":"10.0.0.1","count":2}]`. */
void json_letter_stats(utapi_text *text, const utapi_dead_letter_stats *stats);

struct json_t;

/** An acknowledgement, or a choice of letters, as it was read. */
typedef struct json_acknowledgement {
    utapi_acknowledgement what; /* borrows the next ones */
    bool all;                   /* of a choice */
    utapi_string *ids;          /* owned: json_acknowledgement_done() */
    struct json_t *document;    /* owned likewise */
} json_acknowledgement;

/**
 * Reads {"refused": ["…", "…"], "lost": 0}. One that is not there is none.
 *
 * @param ret  all zero before; json_acknowledgement_done() whatever is returned
 * @return UTAPI_INVALID, naming the member; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status json_acknowledgement_read(utapi_string body, json_acknowledgement *ret,
                                                      utapi_error *err);

/** Reads {"ids": ["…", "…"]} or {"all": true}. Otherwise likewise. */
UTAPI_MUST_USE utapi_status json_letter_choice_read(utapi_string body, json_acknowledgement *ret,
                                                    utapi_error *err);

/** Frees what an acknowledgement holds. */
void json_acknowledgement_done(json_acknowledgement *what);

#endif
