/* SPDX-License-Identifier: Apache-2.0 */
/**
 * call.h - a request to the router without a socket: made out of thin air, waited for, answered.
 */
#ifndef SUPPORT_CALL_H
#define SUPPORT_CALL_H

#include "handlers/router.h"

/**
 * Dispatches a request and waits until it is answered.
 *
 * @param headers  borrowed, as all the rest
 * @param ret      owned: http_call_done()
 */
void support_call(const http_service *service, const char *method, const char *target,
                  const http_header *headers, size_t header_count, utapi_string body, http_call *ret);

/** The same, from an address. */
void support_call_from(const http_service *service, const struct sockaddr *peer, const char *method,
                       const char *target, const http_header *headers, size_t header_count, utapi_string body,
                       http_call *ret);

#endif
