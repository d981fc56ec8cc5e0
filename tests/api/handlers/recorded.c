/* SPDX-License-Identifier: Apache-2.0 */
/* recorded.c - see recorded.h. Bodies that the file cuts short ("...(40000 bytes)") are made again. */
#include "recorded.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *json, const char *member)
{
    return json_string_value(json_object_get(json, member));
}

static recorded_kind kind_of(const json_t *json)
{
    const json_t *ours = json_object_get(json, "ours");
    if (json_object_get(json, "provider") != NULL || json_object_get(json, "needs") != NULL ||
        json_object_get(ours, "later") != NULL)
        return RECORDED_WAITING;
    if (json_object_get(ours, "note") != NULL)
        return RECORDED_NOTED;
    if (json_object_get(json, "raw") != NULL)
        return RECORDED_RAW;
    return text_of(json_object_get(json, "headers"), "Transfer-Encoding") != NULL ? RECORDED_CODED
                                                                                  : RECORDED_PLAIN;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static void write_deep(FILE *out, const char *begin)
{
    (void)begin;
    for (int i = 0; i < 40000; i++)
        (void)fputc(i < 20000 ? '[' : ']', out);
}

static void write_padding(FILE *out, const char *begin)
{
    (void)fwrite(begin, 1, strcspn(begin, "x"), out);
    for (int i = 0; i < 1 << 20; i++)
        (void)fputc('x', out);
    (void)fputs("\"}", out);
}

static void write_buckets(FILE *out, const char *begin)
{
    (void)begin;
    (void)fputs("{\"buckets\":[", out);
    for (int i = 0; i < 1500; i++)
        (void)fprintf(out, "%s\"bucket-number-%d\"", i > 0 ? "," : "", i);
    (void)fputs("],\"timeRange\":[1795437900000,1795441499999]}", out);
}

static const struct {
    const char *name;
    void (*write)(FILE *out, const char *begin);
} cut_bodies[] = {
    {"body-deep", write_deep},
    {"body-1MB-padding", write_padding},
    {"auth-1500-buckets", write_buckets},
};

static void read_body(const json_t *json, recorded_case *ret)
{
    const char *body = text_of(json, "body");
    ret->has_body = body != NULL;
    if (body == NULL)
        return;

    FILE *out = open_memstream(&ret->body, &ret->body_size);
    assert_non_null(out);
    const char *cut = strstr(body, "...(");
    size_t made = 0;
    for (size_t i = 0; i < sizeof cut_bodies / sizeof *cut_bodies; i++) {
        if (strcmp(cut_bodies[i].name, ret->name) == 0) {
            cut_bodies[i].write(out, body);
            made = (size_t)strtoll(cut + 4, NULL, 10);
        }
    }
    if (made == 0)
        (void)fputs(body, out);
    (void)fclose(out);
    if (made != 0)
        assert_int_equal(ret->body_size, made);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void add_header(recorded_case *ret, const char *name, const char *value)
{
    assert_true(ret->header_count < RECORDED_HEADERS_MAX);
    ret->headers[ret->header_count++] = (http_header){utapi_string_of(name), utapi_string_of(value)};
}

static void read_headers(json_t *json, recorded_case *ret)
{
    const char *name;
    json_t *value;
    add_header(ret, "host", RECORDED_HOST);
    json_object_foreach (json_object_get(json, "headers"), name, value)
        add_header(ret, name, json_string_value(value));
    /* The bad length itself was not recorded. */
    if (strcmp(ret->name, "bad-content-length") == 0)
        add_header(ret, "Content-Length", "many");
}

/** JSON cannot hold the byte that is not UTF-8: the file has U+FFFD, of three bytes, for one of 0xFF. */
static void read_raw(const json_t *json, recorded_case *ret)
{
    const char *raw = text_of(json, "raw");
    if (raw == NULL)
        return;
    free(ret->body);
    ret->body = strdup(raw);
    assert_non_null(ret->body);
    ret->raw = ret->body;
    ret->raw_size = strlen(raw);
    char *mark = strstr(ret->body, "\xEF\xBF\xBD");
    if (mark != NULL) {
        *mark = (char)0xFF;
        memmove(mark + 1, mark + 3, strlen(mark + 3) + 1);
        ret->raw_size -= 2;
    }
}

static void read_answer(const json_t *json, recorded_case *ret)
{
    const json_t *ours = json_object_get(json, "ours");
    const json_t *owed = json_object_get(ours, "status") != NULL ? ours : json;
    ret->status = (int)json_integer_value(json_object_get(owed, "status"));
    ret->code = text_of(owed, "code");
    ret->message = text_of(owed, "message");
    ret->answer = text_of(owed, "answer");
    ret->text = text_of(owed, "text");
}

void recorded_case_read(const json_t *json, recorded_case *ret)
{
    *ret = (recorded_case){.name = text_of(json, "name"),
                           .kind = kind_of(json),
                           .with_auth = json_is_true(json_object_get(json, "auth")),
                           .method = text_of(json, "method"),
                           .target = text_of(json, "target")};
    read_answer(json, ret);
    if (ret->kind == RECORDED_WAITING)
        return;
    read_headers((json_t *)(uintptr_t)json, ret);
    read_body(json, ret);
    read_raw(json, ret);
}

void recorded_case_done(recorded_case *self)
{
    free(self->body);
    *self = (recorded_case){0};
}

static bool says(const recorded_case *self, const json_t *body, const char *member, const char *owed)
{
    const char *text = text_of(body, member);
    if (owed == NULL || (text != NULL && strcmp(text, owed) == 0))
        return true;
    print_error("%s: %s is \"%s\", expected \"%s\"\n", self->name, member, text != NULL ? text : "(none)",
                owed);
    return false;
}

bool recorded_case_fits(const recorded_case *self, int status, const char *body, size_t size)
{
    if (status != self->status) {
        print_error("%s: status %d, expected %d: %.200s\n", self->name, status, self->status,
                    size > 0 ? body : "");
        return false;
    }
    const bool is_list = self->answer != NULL && strcmp(self->answer, "a list of results") == 0;
    if (self->answer != NULL && !is_list &&
        (size != strlen(self->answer) || memcmp(body, self->answer, size) != 0)) {
        print_error("%s: the answer is not %s\n", self->name, self->answer);
        return false;
    }
    if (self->text != NULL &&
        (size < strlen(self->text) || memcmp(body, self->text, strlen(self->text)) != 0)) {
        print_error("%s: the answer begins with %.100s\n", self->name, size > 0 ? body : "");
        return false;
    }
    json_auto_t *json = size > 0 ? json_loadb(body, size, 0, NULL) : NULL;
    if ((is_list && !json_is_array(json)) || (size > 0 && json == NULL)) {
        print_error("%s: the answer is no list: %.100s\n", self->name, size > 0 ? body : "");
        return false;
    }
    return says(self, json, "code", self->code) && says(self, json, "message", self->message);
}
