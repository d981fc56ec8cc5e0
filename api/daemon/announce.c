/* SPDX-License-Identifier: Apache-2.0 */
/* announce.c - the first lines of a server, and its last. */
#include "daemon/announce.h"

#include "handlers/log.h"
#include "utapi/scoped.h"
#include "utapi/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* "127.0.0.1:8100", "[::1]:8100" */
static void address_write(const config *settings, uint16_t port, char *ret, size_t size)
{
    const bool is_ipv6 = strchr(settings->bind, ':') != NULL;
    (void)snprintf(ret, size, "%s%s%s:%u", is_ipv6 ? "[" : "", settings->bind, is_ipv6 ? "]" : "",
                   (unsigned)port);
}

/* Where the data is. Of a Redis what stands between passwords: "10.0.0.5:6379/0". */
static utapi_string storage_of(const config *settings)
{
    if (settings->redis_uri == NULL)
        return utapi_string_of(settings->data_dir);
    const char *scheme = strstr(settings->redis_uri, "://");
    const char *begin = scheme != NULL ? scheme + 3 : settings->redis_uri;
    const utapi_string rest = {begin, strcspn(begin, "?")};
    const char *at = memrchr(rest.data, '@', rest.size);
    return at == NULL ? rest : (utapi_string){at + 1, (size_t)(rest.data + rest.size - at - 1)};
}

/* A list of addresses. `room` has space for all of them, so that no text moves. */
static utapi_string text_of(const allow_list *list, utapi_text *room)
{
    const size_t begin = room->size;
    allow_list_write(list, room);
    return room->failed ? utapi_string_of("?") : (utapi_string){room->data + begin, room->size - begin};
}

/* @param tls  where it listens with TLS beside `address`; "": nowhere */
static void start_log(const config *settings, const char *address, const char *tls)
{
    utapi_text room = {0};
    if (!log_wants(LOG_LEVEL_INFO) || !utapi_text_reserve(&room, 65536))
        return;
    const log_member members[] = {
        {.name = "version", .text = utapi_string_of(UTAPI_VERSION)},
        {.name = "address", .text = utapi_string_of(address)},
        {.name = "tls",
         .text = utapi_string_of(*tls != '\0'        ? tls
                                 : settings->has_tls ? "on"
                                 : settings->tls_key != NULL && !settings->tls_enabled
                                     ? "off: tls.enabled is false"
                                     : "off")},
        {.name = "certificate", .text = utapi_string_of(settings->has_tls ? settings->tls_cert : "")},
        {.name = "backend", .text = utapi_string_of(settings->backend)},
        {.name = "storage", .text = storage_of(settings)},
        {.name = "journal",
         .text = utapi_string_of(settings->journal_enabled ? settings->journal_path : "off")},
        {.name = "config", .text = utapi_string_of(settings->file != NULL ? settings->file : "")},
        {.name = "auth",
         .text = utapi_string_of(!settings->auth_enabled       ? "off: queries are not signed"
                                 : settings->auth_file != NULL ? settings->auth_file
                                                               : "auth.file is not set: nobody can ask")},
        {.name = "ingest", .text = text_of(&settings->ingest_allow, &room)},
        {.name = "healthChecks", .text = text_of(&settings->health_allow, &room)},
        {.name = "storageRoute", .text = text_of(&settings->storage_allow, &room)},
        {.name = "prometheus", .text = text_of(&settings->prometheus_allow, &room)},
        {.name = "admin",
         .text = settings->admin_tokens != NULL ? text_of(&settings->admin_allow, &room)
                                                : utapi_string_of("through admin.sock alone")},
        {.name = "workers", .number = settings->workers},
        {.name = "maxConnections", .number = settings->max_connections},
        {.name = "maxEvents", .number = settings->max_events},
        {.name = "dedupWindow", .number = settings->dedup_window_s},
    };
    log_write_members(LOG_LEVEL_INFO, NULL, "started", members, sizeof members / sizeof *members);
    utapi_text_done(&room);
}

/* The line that scripts wait for comes last: all else is there by then. */
void announce_start(const config *settings, uint16_t port, uint16_t tls_port)
{
    char address[80], tls_address[80] = "";
    address_write(settings, port, address, sizeof address);
    if (tls_port != 0)
        address_write(settings, tls_port, tls_address, sizeof tls_address);
    start_log(settings, address, tls_address);
    printf("utapid: listening on %s://%s\n", settings->has_tls && tls_port == 0 ? "https" : "http", address);
    if (tls_port != 0)
        printf("utapid: listening on https://%s\n", tls_address);
    (void)fflush(stdout);
}

void announce_ignored(const config *settings, bool on_terminal)
{
    char sentence[1024];
    const struct {
        const char *what, *format;
    } all[] = {{settings->ignored, "%s: ignored, for they do not apply here: %s"},
               {settings->enabled_operations.unknown,
                "%.0senabledOperationCounters: ignored, for no operation is called so: %s"},
               {settings->unknown_variables, "%.0sthe environment: ignored, for nothing is called so: %s"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].what == NULL)
            continue;
        (void)snprintf(sentence, sizeof sentence, all[i].format, settings->file != NULL ? settings->file : "",
                       all[i].what);
        if (on_terminal)
            printf("utapid: %s\n", sentence);
        else
            log_write(LOG_LEVEL_WARN, NULL, "%s", sentence);
    }
}

void announce_stopping(int signal)
{
    log_write(LOG_LEVEL_INFO, NULL, "SIG%s: shutting down", sigabbrev_np(signal));
}

void announce_stopped(int64_t took_ms)
{
    log_write(LOG_LEVEL_INFO, NULL, "stopped after %.1f s", (double)took_ms / 1000);
}
