/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - libcurl, with its own AWS Signature Version 4. libcurl signs every header that it is given, but
 * brings no x-amz-content-sha256 by itself, so the body's hash is computed here. */
#include "ctl/client.h"

#include "auth/crypto.h"
#include "utapi/scoped.h"
#include "utapi/text.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S  300L
#define MAX_ANSWER_BYTES  ((size_t)1 << 30)

struct client {
    const client_endpoint *endpoint;
    CURL *curl;
};

static inline void free_headers(struct curl_slist **headers)
{
    curl_slist_free_all(*headers);
}

#define AUTO_HEADERS __attribute__((cleanup(free_headers))) struct curl_slist

client *client_new(const client_endpoint *endpoint)
{
    client *self = calloc(1, sizeof *self);
    CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (self == NULL || curl == NULL) {
        ctl_say("out of memory");
        curl_easy_cleanup(curl);
        free(self);
        return NULL;
    }
    *self = (client){endpoint, curl};
    return self;
}

void client_free(client *self)
{
    if (self == NULL)
        return;
    curl_easy_cleanup(self->curl);
    free(self);
}

void client_answer_done(client_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

/* ---- receiving ---------------------------------------------------------------------------- */

static size_t receive_body(char *data, size_t unit, size_t count, void *ctx)
{
    utapi_text *body = ctx;
    const size_t size = unit * count;
    if (size > MAX_ANSWER_BYTES - body->size)
        return 0;
    utapi_text_add(body, data, size);
    return body->failed ? 0 : size;
}

static size_t print_head(char *data, size_t unit, size_t count, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "< %.*s", (int)(unit * count), data);
    return unit * count;
}

static void copy_member(const json_t *object, const char *name, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));
    (void)snprintf(ret, size, "%s", text != NULL ? text : "");
}

/* An error is {"code", "message"}; a proxy in between may say something else. */
static void read_error(client_answer *answer)
{
    json_auto_t *body = json_loadb(answer->body, answer->size, 0, NULL);
    copy_member(body, "code", answer->code, sizeof answer->code);
    copy_member(body, "message", answer->message, sizeof answer->message);
    if (*answer->code == '\0')
        (void)snprintf(answer->code, sizeof answer->code, "HTTP status %ld", answer->status);
}

/* ---- sending ------------------------------------------------------------------------------ */

static bool add_header(struct curl_slist **headers, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*headers, header);
    if (longer != NULL)
        *headers = longer;
    return longer != NULL;
}

static bool sign(const client *self, utapi_string body, struct curl_slist **headers)
{
    char hash[CRYPTO_HEX_BYTES + 1];
    char header[CRYPTO_HEX_BYTES + 32];
    if (!crypto_sha256_hex(body, hash))
        return false;
    (void)snprintf(header, sizeof header, "x-amz-content-sha256: %s", hash);
    return add_header(headers, header) &&
           curl_easy_setopt(self->curl, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3") == CURLE_OK &&
           curl_easy_setopt(self->curl, CURLOPT_USERNAME, self->endpoint->access_key) == CURLE_OK &&
           curl_easy_setopt(self->curl, CURLOPT_PASSWORD, self->endpoint->secret_key) == CURLE_OK;
}

static bool set_url(const client *self, const char *method, const char *path)
{
    const client_endpoint *to = self->endpoint;
    UTAPI_AUTO_FREE char *url = NULL;
    const bool is_ipv6 = strchr(to->host, ':') != NULL && *to->host != '[';
    if (asprintf(&url, "%s://%s%s%s:%d%s", to->ssl ? "https" : "http", is_ipv6 ? "[" : "", to->host,
                 is_ipv6 ? "]" : "", (int)to->port, path) < 0) {
        url = NULL;
        return false;
    }
    if (to->verbose)
        fprintf(stderr, "> %s %s\n", method, url);
    return curl_easy_setopt(self->curl, CURLOPT_URL, url) == CURLE_OK; /* copies it */
}

/* A body that is absent makes it a GET. */
static bool prepare(const client *self, const char *path, utapi_string body, struct curl_slist **headers,
                    utapi_text *received)
{
    const bool is_get = body.data == NULL;
    CURL *curl = self->curl;
    curl_easy_reset(curl);
    /* "Expect:" with nothing keeps libcurl from asking first whether a large body is welcome. Not where we
     * sign: libcurl 7.88 would sign the header that it then leaves out. Questions are small anyway. */
    if (!set_url(self, is_get ? "GET" : "POST", path) ||
        !add_header(headers, "Content-Type: application/json"))
        return false;
    if (self->endpoint->access_key != NULL ? !sign(self, body, headers) : !add_header(headers, "Expect:"))
        return false;
    /* libcurl repeats a request by itself when a connection that it used before turns out closed. Events may
     * not be repeated behind our back, so each request has a connection of its own. */
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    if (!is_get) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, received);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (self->endpoint->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (self->endpoint->verbose)
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, print_head);
    return true;
}

/* Which failures come before the first byte of a request is sent. */
static utapi_status failure_status(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_URL_MALFORMAT:
        return UTAPI_UNAVAILABLE;
    default:
        return UTAPI_UNCERTAIN;
    }
}

utapi_status client_ask(client *self, const char *path, utapi_string body, client_answer *ret,
                        utapi_error *err)
{
    AUTO_HEADERS *headers = NULL;
    utapi_text received = {0};
    client_answer answer = {.body = NULL};
    char reason[CURL_ERROR_SIZE] = "";
    if (!utapi_text_reserve(&received, 1) || !prepare(self, path, body, &headers, &received)) {
        utapi_text_done(&received);
        return utapi_fail(err, UTAPI_NO_MEMORY, "HTTP request");
    }
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, reason);
    const CURLcode code = curl_easy_perform(self->curl);
    if (code != CURLE_OK) {
        utapi_text_done(&received);
        return utapi_fail(err, failure_status(code), "%s",
                          *reason != '\0' ? reason : curl_easy_strerror(code));
    }
    answer.body = utapi_text_take(&received, &answer.size);
    if (answer.body == NULL)
        return utapi_fail(err, UTAPI_UNCERTAIN, "out of memory");
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(self->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer.retry_after_s = retry_after_s;
    if (answer.status != 200)
        read_error(&answer);
    *ret = answer;
    return UTAPI_OK;
}

json_t *client_ask_json(client *self, const char *path, const json_t *question, const char *busy_member)
{
    client_answer answer = {.body = NULL};
    utapi_error err = {0};
    UTAPI_AUTO_FREE char *text = question != NULL ? json_dumps(question, JSON_COMPACT) : NULL;
    if (question != NULL && text == NULL) {
        ctl_say("out of memory");
        return NULL;
    }
    const utapi_string body = text != NULL ? utapi_string_of(text) : (utapi_string){NULL, 0};
    if (client_ask(self, path, body, &answer, &err) != UTAPI_OK) {
        ctl_say("%s", err.detail);
        return NULL;
    }
    json_t *json = answer.size > 0 ? json_loadb(answer.body, answer.size, 0, NULL) : json_null();
    if (answer.status != 200 &&
        (busy_member == NULL || answer.status != 503 || json_object_get(json, busy_member) == NULL)) {
        ctl_say("%s: %s", answer.code, answer.message);
        json_decref(json);
        json = NULL;
    } else if (json == NULL) {
        ctl_say("the server's answer is not JSON");
    }
    client_answer_done(&answer);
    return json;
}
