/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_health.c - GET|POST /_/healthcheck: whether events are accepted, and what else is to be known.
 *
 * CloudServer goes by the status: as long as events are accepted it is 200, whatever the body says. A full journal
 * accepts none, nor does a storage that has just failed to store some. The body reports how it is all the same.
 */
#include "handlers/routes.h"

#include "handlers/log.h"
#include "handlers/wake.h"
#include "json/json_health.h"

void handle_health(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    http_failure failure;
    utapi_health health;
    wake_asked(service->wake, &call->request);
    const utapi_status status = utapi_engine_health(service->engine, &health, &err);
    if (status != UTAPI_OK) {
        log_write(LOG_LEVEL_ERROR, call->request_id, "healthcheck: %s: %s", utapi_status_text(status),
                  err.detail);
        (void)http_fail(&failure, HTTP_INTERNAL_ERROR, "storage is not ready");
        http_call_refuse(call, &failure);
        return;
    }

    size_t size;
    char *body = json_health(&health, utapi_engine_now_ms(service->engine), &size);
    if (body != NULL) {
        const http_error error = health.refuses ? HTTP_SERVICE_UNAVAILABLE : HTTP_OK;
        http_call_answer(call, http_error_status(error), body, size);
        return;
    }
    http_call_fail(call, HTTP_INTERNAL_ERROR);
}
