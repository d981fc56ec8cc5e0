/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vectors.c - AWS's signing vectors, header form, stage by stage.
 *
 * UTAPI_SIGV4_SUITE names the folder of awslabs/aws-c-auth's suite (or the one above it): a folder a case. Each case
 * is verified as the server would, from header-signed-request.txt, and signed as tests sign, from request.txt
 * and context.json. The first stage that differs is named, with both texts. Without the variable: skipped.
 */
#include "sign.h"
#include "utapi/scoped.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SKIPPED      77
#define CASES_MIN    38 /* as the suite is known; fewer means that it is not whole */
#define FILE_MAX     16384
#define HEADERS_MAX  32
#define SIGNED_FILE  "header-signed-request.txt"
#define REQUEST_FILE "request.txt"

/* One file of a case, and the request that it holds. */
typedef struct message {
    char text[FILE_MAX];
    size_t size;
    http_header headers[HEADERS_MAX];
    http_request request;
} message;

typedef struct vector_case {
    const char *name;
    const char *folder;
    json_t *context;
    char timestamp[32]; /* "20150830T123600Z" */
    sigv4_path_rule path_rule;
    message signed_; /* as the client sent it */
    message unsigned_;
    char expected[FILE_MAX]; /* of the stage at hand */
} vector_case;

static void free_text(char **text)
{
    free(*text);
}
#define AUTO_PATH __attribute__((cleanup(free_text))) char

/* Owned: free with free(). */
static char *join(const char *folder, const char *file)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, file) < 0)
        abort();
    return path;
}

/* Reads a file of the case and adds a NUL; false if it is not there. */
static bool read_text(const char *folder, const char *file, char text[FILE_MAX], size_t *ret_size)
{
    AUTO_PATH *path = join(folder, file);
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        printf("%s: cannot be read\n", path);
        return false;
    }
    size_t size = fread(text, 1, FILE_MAX - 1, stream);
    fclose(stream);
    text[size] = '\0';
    *ret_size = size;
    return true;
}

static utapi_string cut(const char *start, const char *end)
{
    return (utapi_string){start, (size_t)(end - start)};
}

/* The end of a header: of its line, or of the last one that continues it. */
static const char *header_end(const char *start)
{
    const char *end = strchr(start, '\n');
    while (end != NULL && (end[1] == ' ' || end[1] == '\t'))
        end = strchr(end + 1, '\n');
    return end != NULL ? end : start + strlen(start);
}

/* "GET /a path HTTP/1.1": the target may hold blanks. Moves *at behind the line. */
static bool parse_request_line(const char **at, http_request *ret)
{
    const char *end = header_end(*at);
    const char *method_end = strchr(*at, ' ');
    const char *target_end = memrchr(*at, ' ', (size_t)(end - *at));
    if (method_end == NULL || target_end == NULL || target_end <= method_end)
        return false;
    ret->method = cut(*at, method_end);
    http_request_set_target(ret, cut(method_end + 1, target_end));
    *at = *end == '\n' ? end + 1 : end;
    return true;
}

static bool parse_message(message *ret)
{
    const char *at = ret->text;
    ret->request = (http_request){.headers = ret->headers};
    if (!parse_request_line(&at, &ret->request))
        return false;
    while (*at != '\0' && *at != '\n') {
        const char *end = header_end(at);
        const char *colon = memchr(at, ':', (size_t)(end - at));
        if (colon == NULL || ret->request.header_count == HEADERS_MAX - 4)
            return false;
        ret->headers[ret->request.header_count++] = (http_header){cut(at, colon), cut(colon + 1, end)};
        at = *end == '\n' ? end + 1 : end;
    }
    if (*at == '\n')
        ret->request.body = utapi_string_of(at + 1);
    return true;
}

static bool load_message(const vector_case *vector, const char *file, message *ret)
{
    return read_text(vector->folder, file, ret->text, &ret->size) && parse_message(ret);
}

static const char *context_text(const vector_case *vector, const char *name)
{
    const char *text = json_string_value(json_object_get(vector->context, name));
    return text != NULL ? text : "";
}

static const char *credential_text(const vector_case *vector, const char *name)
{
    const json_t *credentials = json_object_get(vector->context, "credentials");
    return json_string_value(json_object_get(credentials, name));
}

static bool context_flag(const vector_case *vector, const char *name)
{
    return json_is_true(json_object_get(vector->context, name));
}

static bool load(vector_case *vector)
{
    AUTO_PATH *path = join(vector->folder, "context.json");
    vector->context = json_load_file(path, 0, NULL);
    if (vector->context == NULL || credential_text(vector, "access_key_id") == NULL ||
        credential_text(vector, "secret_access_key") == NULL)
        return false;
    size_t size = 0;
    for (const char *from = context_text(vector, "timestamp"); *from != '\0' && size < 31; from++) {
        if (*from != '-' && *from != ':')
            vector->timestamp[size++] = *from;
    }
    vector->path_rule = context_flag(vector, "normalize") ? SIGV4_PATH_NORMALIZED : SIGV4_PATH_AS_IS;
    return load_message(vector, SIGNED_FILE, &vector->signed_) &&
           load_message(vector, REQUEST_FILE, &vector->unsigned_);
}

static bool equals(const vector_case *vector, const char *stage, utapi_string expected, utapi_string actual)
{
    if (utapi_string_equal(expected, actual))
        return true;
    printf("%s: %s differs\n--- expected\n%.*s\n--- actual\n%.*s\n", vector->name, stage, (int)expected.size,
           expected.data, (int)actual.size, actual.data);
    return false;
}

/* Compares with a file of the case; a line's end at its end counts for nothing. */
static bool equals_file(vector_case *vector, const char *stage, const char *file, utapi_string actual)
{
    size_t size;
    if (!read_text(vector->folder, file, vector->expected, &size))
        return false;
    while (size > 0 && (vector->expected[size - 1] == '\n' || vector->expected[size - 1] == '\r'))
        size--;
    return equals(vector, stage, (utapi_string){vector->expected, size}, actual);
}

static bool check_parse(vector_case *vector, sigv4_authorization *authorization, sigv4_credential *credential,
                        sigv4_signed_headers *names)
{
    const utapi_string header = http_request_header(&vector->signed_.request, "authorization");
    if (!sigv4_parse(header, authorization) ||
        !sigv4_parse_credential(authorization->credential, credential) ||
        !sigv4_parse_signed_headers(authorization->signed_headers, names)) {
        printf("%s: sigv4_parse refuses the header\n", vector->name);
        return false;
    }
    return equals(vector, "sigv4_parse (access)", utapi_string_of(credential_text(vector, "access_key_id")),
                  credential->access) &&
           equals(vector, "sigv4_parse (region)", utapi_string_of(context_text(vector, "region")),
                  credential->region) &&
           equals(vector, "sigv4_parse (service)", utapi_string_of(context_text(vector, "service")),
                  credential->service) &&
           equals_file(vector, "sigv4_parse (signature)", "header-signature.txt", authorization->signature);
}

static bool check_canonical_request(vector_case *vector, const sigv4_signed_headers *names,
                                    utapi_text *canonical)
{
    const http_request *request = &vector->signed_.request;
    char hash[CRYPTO_HEX_BYTES + 1];
    utapi_string payload_hash = http_request_header(request, "x-amz-content-sha256");
    if (payload_hash.data == NULL) {
        if (!crypto_sha256_hex(request->body, hash))
            return false;
        payload_hash = utapi_string_of(hash);
    }
    sigv4_canonical_request(request, names, payload_hash, vector->path_rule, canonical);
    return equals_file(vector, "sigv4_canonical_request", "header-canonical-request.txt",
                       utapi_text_view(canonical));
}

static bool check_signature(vector_case *vector, const sigv4_credential *credential, utapi_string given,
                            utapi_string to_sign)
{
    unsigned char key[CRYPTO_HASH_BYTES];
    char signature[CRYPTO_HEX_BYTES + 1];
    if (!sigv4_signing_key(utapi_string_of(credential_text(vector, "secret_access_key")), credential->date,
                           credential->region, credential->service, key) ||
        !sigv4_signature(key, to_sign, signature))
        return false;
    if (!equals_file(vector, "sigv4_signing_key or sigv4_signature", "header-signature.txt",
                     utapi_string_of(signature)))
        return false;
    if (!sigv4_signature_equal(signature, given)) {
        printf("%s: sigv4_signature_equal differs\n", vector->name);
        return false;
    }
    return true;
}

/* As the server does it. */
static bool verifies(vector_case *vector)
{
    sigv4_authorization authorization;
    sigv4_credential credential;
    sigv4_signed_headers names;
    utapi_text canonical = {0};
    utapi_text to_sign = {0};
    const bool passed =
        check_parse(vector, &authorization, &credential, &names) &&
        check_canonical_request(vector, &names, &canonical) &&
        sigv4_string_to_sign(utapi_string_of(vector->timestamp), credential.scope,
                             utapi_text_view(&canonical), &to_sign) &&
        equals_file(vector, "sigv4_string_to_sign", "header-string-to-sign.txt", utapi_text_view(&to_sign)) &&
        check_signature(vector, &credential, authorization.signature, utapi_text_view(&to_sign));
    utapi_text_done(&canonical);
    utapi_text_done(&to_sign);
    return passed;
}

static void add_header(message *target, const char *name, const char *value)
{
    target->headers[target->request.header_count++] =
        (http_header){utapi_string_of(name), utapi_string_of(value)};
}

/* As tests sign: the headers that the context asks for are added first. */
static bool signs(vector_case *vector)
{
    message *plain = &vector->unsigned_;
    char hash[CRYPTO_HEX_BYTES + 1];
    const char *token = credential_text(vector, "token");
    const sign_options options = {
        .access = credential_text(vector, "access_key_id"),
        .secret = credential_text(vector, "secret_access_key"),
        .region = context_text(vector, "region"),
        .service = context_text(vector, "service"),
        .timestamp = vector->timestamp,
        .path_rule = vector->path_rule,
    };
    if (!crypto_sha256_hex(plain->request.body, hash))
        return false;
    add_header(plain, "X-Amz-Date", vector->timestamp);
    if (token != NULL && !context_flag(vector, "omit_session_token"))
        add_header(plain, "X-Amz-Security-Token", token);
    if (context_flag(vector, "sign_body"))
        add_header(plain, "x-amz-content-sha256", hash);

    char *value = sign_authorization(&plain->request, &options);
    const bool passed =
        equals(vector, "sign_authorization", http_request_header(&vector->signed_.request, "authorization"),
               utapi_string_of(value));
    free(value);
    return passed;
}

static bool run_case(const char *suite, const char *name)
{
    AUTO_PATH *folder = join(suite, name);
    UTAPI_AUTO_FREE vector_case *vector = calloc(1, sizeof *vector);
    if (vector == NULL)
        return false;
    vector->name = name;
    vector->folder = folder;
    const bool loaded = load(vector);
    if (!loaded)
        printf("%s: cannot be loaded\n", name);
    const bool passed = loaded && verifies(vector) && signs(vector);
    json_decref(vector->context);
    return passed;
}

/* Runs every case; *ret_run counts them. Returns how many failed. */
static int run_suite(const char *suite, int *ret_run)
{
    int failed = 0;
    DIR *folder = opendir(suite);
    if (folder == NULL)
        printf("%s: cannot be opened\n", suite);
    *ret_run = 0;
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        ++*ret_run;
        failed += !run_case(suite, entry->d_name);
    }
    if (folder != NULL)
        closedir(folder);
    return failed;
}

int main(void)
{
    const char *given = getenv("UTAPI_SIGV4_SUITE");
    if (given == NULL || *given == '\0') {
        puts("skipped: UTAPI_SIGV4_SUITE is not set");
        return SKIPPED;
    }
    AUTO_PATH *below = join(given, "aws-c-auth");
    int run;
    const int failed = run_suite(access(below, R_OK) == 0 ? below : given, &run);
    printf("%d of %d cases passed\n", run - failed, run);
    if (run < CASES_MIN)
        printf("the suite has %d cases or more\n", CASES_MIN);
    return failed == 0 && run >= CASES_MIN ? EXIT_SUCCESS : EXIT_FAILURE;
}
