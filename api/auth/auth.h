/* SPDX-License-Identifier: Apache-2.0 */
/**
 * auth.h - decides whether a request was signed by somebody we know (docs/authentication.md).
 *
 * Thread-safe. Derived signing keys are cached for their day.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/identity.h"
#include "http/errors.h"
#include "http/message.h"

#include <stdint.h>

typedef struct auth auth;

/** What x-amz-content-sha256 may say (config auth.payloadHash). */
typedef enum auth_payload_rule {
    AUTH_PAYLOAD_STRICT, /* the SHA-256 of the body, nothing else */
    /* or that of the sorted query string (CloudServer's bin/list_metrics) or of the empty body (Utapi's own test clients),
     * or UNSIGNED-PAYLOAD */
    AUTH_PAYLOAD_COMPATIBLE
} auth_payload_rule;

/**
 * @param known  who may sign; borrowed: must outlive it
 * @param ret    owned: free with auth_free()
 */
UTAPI_MUST_USE utapi_status auth_new(const identity *known, auth_payload_rule rule, auth **ret,
                                     utapi_error *err);
void auth_free(auth *self);

/**
 * Verifies a request's signature (Authorization header), then its payload hash against the body.
 *
 * @param request  whole: its body too
 * @param now_ms   wall clock
 * @param ret_key  whose signature it was: valid until the identity is freed. Written on success only.
 * @param failure  what to tell the client
 * @return HTTP_OK, or failure->error; HTTP_INTERNAL_ERROR if out of memory
 */
http_error auth_verify(auth *self, const http_request *request, int64_t now_ms, const identity_key **ret_key,
                       http_failure *failure);

#endif
