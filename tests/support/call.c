/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - see call.h. The committer may answer on its own thread, so the caller waits on a semaphore. */
#include "call.h"

#include <semaphore.h>

static void on_ready(http_call *call)
{
    sem_post(call->ctx);
}

void support_call(const http_service *service, const char *method, const char *target,
                  const http_header *headers, size_t header_count, utapi_string body, http_call *ret)
{
    support_call_from(service, NULL, method, target, headers, header_count, body, ret);
}

void support_call_from(const http_service *service, const struct sockaddr *peer, const char *method,
                       const char *target, const http_header *headers, size_t header_count, utapi_string body,
                       http_call *ret)
{
    sem_t ready;
    sem_init(&ready, 0, 0);
    http_call_init(ret, on_ready, &ready);
    ret->request = (http_request){.method = utapi_string_of(method),
                                  .headers = headers,
                                  .header_count = header_count,
                                  .body = body,
                                  .peer = peer};
    http_request_set_target(&ret->request, utapi_string_of(target));
    router_dispatch(service, ret);
    while (sem_wait(&ready) != 0)
        continue;
    sem_destroy(&ready);
}
