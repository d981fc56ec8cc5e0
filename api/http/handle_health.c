/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_health.c - GET|POST /_/healthcheck: whether storage is well.
 */
#include "http/routes.h"

#include "http/log.h"

#include <string.h>

void handle_health(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    utapi_stats stats;
    const utapi_status status = utapi_engine_stats(service->engine, &stats, &err);
    if (status == UTAPI_OK) {
        char *body = strdup("{}");
        http_call_answer(call, http_error_status(HTTP_OK), body, body != NULL ? 2 : 0);
        return;
    }

    http_failure failure;
    log_write(LOG_LEVEL_ERROR, call->request_id, "healthcheck: %s: %s", utapi_status_text(status),
              err.detail);
    (void)http_fail(&failure, HTTP_INTERNAL_ERROR, "storage is not ready");
    http_call_refuse(call, &failure);
}
