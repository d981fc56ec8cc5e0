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
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOST      "127.0.0.1"
#define DEFAULT_PORT      "8100"
#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S  300L
#define MAX_ANSWER_BYTES  ((size_t)1 << 30)

typedef struct curl_slist header_list;

UTAPI_AUTO_DEFINE(CURL, curl_easy_cleanup)
UTAPI_AUTO_DEFINE(header_list, curl_slist_free_all)

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

/* An error is {"code", "message"}; a proxy in between may say something else. */
static void read_error(client_answer *answer)
{
    const char *code = "";
    (void)json_unpack(answer->body, "{s?s, s?s}", "code", &code, "message", &answer->message);
    if (*code != '\0')
        (void)snprintf(answer->code, sizeof answer->code, "%s", code);
    else
        (void)snprintf(answer->code, sizeof answer->code, "HTTP status %ld", answer->status);
}

/* ---- sending ------------------------------------------------------------------------------ */

static bool add_header(header_list **headers, const char *header)
{
    header_list *longer = curl_slist_append(*headers, header);
    if (longer != NULL)
        *headers = longer;
    return longer != NULL;
}

static bool sign(CURL *curl, const client_endpoint *to, utapi_string body, header_list **headers)
{
    char hash[CRYPTO_HEX_BYTES + 1];
    char header[CRYPTO_HEX_BYTES + 32];
    UTAPI_AUTO_FREE char *token = NULL;
    if (!crypto_sha256_hex(body, hash))
        return false;
    if (to->session_token != NULL) {
        if (asprintf(&token, "x-amz-security-token: %s", to->session_token) < 0)
            token = NULL;
        if (token == NULL || !add_header(headers, token))
            return false;
    }
    (void)snprintf(header, sizeof header, "x-amz-content-sha256: %s", hash);
    return add_header(headers, header) &&
           curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERNAME, to->access_key) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PASSWORD, to->secret_key) == CURLE_OK;
}

/* "https://host:8100/" as scheme and authority: 8100 where there is no port. Owned; NULL: UTAPI_INVALID if it is no URL
 * of a server, UTAPI_NO_MEMORY. */
static char *base_of(const char *server, utapi_error *err)
{
    const char *scheme = strstr(server, "://");
    const char *host = scheme != NULL ? scheme + 3 : server;
    const size_t size = strcspn(host, "/");
    const char *colon = memrchr(host, ':', size), *bracket = memrchr(host, ']', size);
    const bool has_port = colon != NULL && (bracket == NULL || colon > bracket);
    const bool is_http =
        scheme == NULL || strncmp(server, "http://", 7) == 0 || strncmp(server, "https://", 8) == 0;
    char *base = NULL;
    if (!is_http || size == 0 || strcspn(host + size, "/") != 0 || host[size + (host[size] == '/')] != '\0')
        (void)utapi_fail(err, UTAPI_INVALID, "--server: expected a URL as https://host:8100, not \"%.100s\"",
                         server);
    else if (asprintf(&base, "%.*s%.*s%s", scheme != NULL ? (int)(host - server) : 7,
                      scheme != NULL ? server : "http://", (int)size, host,
                      has_port ? "" : ":" DEFAULT_PORT) < 0)
        base = NULL;
    return base;
}

/* By --host, --port and --ssl, else by --server or UTAPICTL_SERVER. */
static char *base_find(const client_endpoint *to, utapi_error *err)
{
    const char *variable = getenv("UTAPICTL_SERVER"), *server = to->server;
    if (server == NULL && to->host == NULL && to->port == 0 && to->socket == NULL && variable != NULL &&
        *variable != '\0')
        server = variable;
    if (to->server != NULL && (to->host != NULL || to->port != 0)) {
        (void)utapi_fail(err, UTAPI_INVALID, "--server says host and port: leave --host and --port out");
        return NULL;
    }
    if (server != NULL)
        return base_of(server, err);
    const char *host = to->host != NULL ? to->host : DEFAULT_HOST;
    const bool is_ipv6 = strchr(host, ':') != NULL && *host != '[';
    char *base = NULL, port[16] = DEFAULT_PORT;
    if (to->port != 0)
        (void)snprintf(port, sizeof port, "%d", (int)to->port);
    return asprintf(&base, "%s://%s%s%s:%s", to->ssl ? "https" : "http", is_ipv6 ? "[" : "", host,
                    is_ipv6 ? "]" : "", port) < 0
               ? NULL
               : base;
}

static bool set_url(CURL *curl, const client_endpoint *to, const char *method, const char *path,
                    utapi_error *err)
{
    UTAPI_AUTO_FREE char *base = base_find(to, err);
    UTAPI_AUTO_FREE char *url = NULL;
    if (base == NULL || asprintf(&url, "%s%s", base, path) < 0) {
        url = NULL;
        return false;
    }
    if (to->verbose)
        fprintf(stderr, "> %s %s\n", method, url);
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK; /* copies it */
}

static void set_certificates(CURL *curl, const client_endpoint *to)
{
    const struct {
        CURLoption option;
        const char *path;
    } files[] = {{CURLOPT_CAINFO, to->ca}, {CURLOPT_SSLCERT, to->cert}, {CURLOPT_SSLKEY, to->key}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].path != NULL)
            curl_easy_setopt(curl, files[i].option, files[i].path);
}

/* A body that is absent makes it a GET. */
static bool prepare(CURL *curl, const client_endpoint *to, const char *path, utapi_string body,
                    header_list **headers, utapi_text *received, utapi_error *err)
{
    const bool is_get = body.data == NULL;
    /* "Expect:" with nothing keeps libcurl from asking first whether a large body is welcome. Not where we
     * sign: libcurl 7.88 would sign the header that it then leaves out. Questions are small anyway. */
    if (!set_url(curl, to, is_get ? "GET" : "POST", path, err) ||
        !add_header(headers, "Content-Type: application/json"))
        return false;
    if (to->access_key != NULL ? !sign(curl, to, body, headers) : !add_header(headers, "Expect:"))
        return false;
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
    set_certificates(curl, to);
    if (to->socket != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, to->socket);
    if (to->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (to->verbose)
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
    case CURLE_SSL_CACERT_BADFILE: /* ours, of the command line */
    case CURLE_SSL_CERTPROBLEM:
        return UTAPI_INVALID;
    default:
        return UTAPI_UNCERTAIN;
    }
}

/* libcurl repeats a request by itself when a connection that it used before turns out closed. Events may not be
 * repeated behind our back, so each request has a handle, and with it a connection, of its own. */
utapi_status client_request(const client_endpoint *to, const char *path, utapi_string body,
                            client_answer *ret, utapi_error *err)
{
    UTAPI_AUTO(CURL) *curl = curl_easy_init();
    UTAPI_AUTO(header_list) *headers = NULL;
    utapi_text received = {0};
    char reason[CURL_ERROR_SIZE] = "";
    utapi_error_clear(err);
    if (curl == NULL || !prepare(curl, to, path, body, &headers, &received, err))
        return err->status != UTAPI_OK ? err->status : utapi_fail(err, UTAPI_NO_MEMORY, "HTTP request");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        utapi_text_done(&received);
        return utapi_fail(err, failure_status(code), "%s",
                          *reason != '\0' ? reason : curl_easy_strerror(code));
    }
    curl_off_t retry_after_s = 0;
    *ret = (client_answer){.message = ""};
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    ret->retry_after_s = retry_after_s;
    ret->body = received.size > 0 ? json_loadb(received.data, received.size, 0, NULL) : json_null();
    utapi_text_done(&received);
    if (ret->status != 200)
        read_error(ret);
    return UTAPI_OK;
}

int client_exit_code(utapi_status status, const client_answer *answer)
{
    enum { SERVER_ERRORS = 500 };
    if (status == UTAPI_UNAVAILABLE || status == UTAPI_UNCERTAIN)
        return EXIT_UNREACHABLE;
    return status == UTAPI_INVALID           ? EXIT_USAGE
           : status != UTAPI_OK              ? EXIT_FAILED
           : answer->status >= SERVER_ERRORS ? EXIT_UNWELL
                                             : EXIT_REFUSED;
}

json_t *client_request_json(const client_endpoint *to, const char *path, const json_t *question,
                            const char *busy_member, int *ret_code)
{
    client_answer answer = {.message = ""};
    utapi_error err = {0};
    *ret_code = EXIT_FAILED;
    UTAPI_AUTO_FREE char *text = question != NULL ? json_dumps(question, JSON_COMPACT) : NULL;
    if (question != NULL && text == NULL) {
        ctl_say("out of memory");
        return NULL;
    }
    const utapi_status status = client_request(to, path, utapi_string_of(text), &answer, &err);
    if (status != UTAPI_OK) {
        *ret_code = client_exit_code(status, &answer);
        ctl_say("%s", err.detail);
        return NULL;
    }
    if (answer.status == 200 ||
        (busy_member != NULL && answer.status == 503 && json_object_get(answer.body, busy_member) != NULL)) {
        if (answer.body == NULL)
            ctl_say("the server's answer is not JSON");
        return answer.body;
    }
    *ret_code = client_exit_code(status, &answer);
    ctl_say("%s: %s", answer.code, answer.message);
    json_decref(answer.body);
    return NULL;
}

void client_add_encoded(utapi_text *path, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        const char encoded[] = {'%', digits[byte >> 4], digits[byte & 0xF]};
        utapi_text_add(path, encoded, sizeof encoded);
    }
}

int client_print_json(const json_t *answer)
{
    const bool is_printed = json_dumpf(answer, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    return is_printed && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
