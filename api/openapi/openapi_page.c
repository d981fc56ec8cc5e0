/* SPDX-License-Identifier: Apache-2.0 */
/* openapi_page.c - a program of the build: turns docs/openapi.json into C with the document itself and a page of it.
 *
 *     openapi_page DOCUMENT OUTPUT
 *
 * The page says of each request who may send it, what it takes and what it gives, with the document's examples. What
 * the document lacks fails the build. */
#include "utapi/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_A_LINE = 24, SCHEMA_DEPTH_MAX = 12 };

static const json_t *document;

static const char style[] =
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "h2{margin-top:3rem;border-bottom:1px solid #8886}h3{margin-top:2.5rem}"
    "code,pre{font:14px/1.45 ui-monospace,monospace}code{background:#8882;padding:.1em .3em;border-radius:3px}"
    "pre{background:#8882;padding:.8rem;border-radius:6px;overflow-x:auto}pre code{background:none;padding:0}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem "
    ".8rem .3rem 0;"
    "border-bottom:1px solid #8883}"
    ".method{font-weight:600;border-radius:4px;padding:.1em .5em;margin-right:.5em;color:#fff;background:#276}"
    ".get{background:#258}.old{opacity:.7}nav a{display:block}";

/* ---- reading --------------------------------------------------------------------------------- */

static const json_t *get(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL) {
        fprintf(stderr, "openapi_page: there is no \"%s\" where one is needed\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* What {"$ref": "#/components/schemas/Error"} means; anything else is itself. */
static const json_t *resolve(const json_t *value)
{
    const char *path = text_of(value, "$ref");
    if (*path == '\0')
        return value;
    char name[64];
    value = document;
    for (path += strcspn(path, "/"); *path == '/'; path += strcspn(path, "/")) {
        path++;
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "/"), path);
        value = get(value, name);
    }
    return value;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put(utapi_text *page, const char *text)
{
    utapi_text_add_literal(page, text);
}

/* A text with what HTML has other uses for escaped; `code` in backticks, and a blank line parts paragraphs. */
static void put_prose(utapi_text *page, const char *text)
{
    for (bool is_code = false; *text != '\0'; text++) {
        if (*text == '`') {
            put(page, is_code ? "</code>" : "<code>");
            is_code = !is_code;
        } else if (*text == '<')
            put(page, "&lt;");
        else if (*text == '&')
            put(page, "&amp;");
        else if (*text == '\n' && text[1] == '\n') {
            put(page, "</p><p>");
            text++;
        } else
            utapi_text_add_char(page, *text);
    }
}

static void put_example(utapi_text *page, const json_t *media)
{
    const json_t *example = json_object_get(media, "example");
    if (example == NULL)
        return;
    char *text = json_is_string(example) ? strdup(json_string_value(example))
                                         : json_dumps(example, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (text == NULL)
        exit(EXIT_FAILURE);
    put(page, "<pre><code>");
    put_prose(page, text);
    put(page, "</code></pre>");
    free(text);
}

/* "array of integer", "string: early, late". */
static void put_type(utapi_text *page, const json_t *schema)
{
    size_t i;
    json_t *value;
    const json_t *is = resolve(schema);
    const char *type = text_of(is, "type");
    if (strcmp(type, "array") == 0) {
        put(page, "array of ");
        put_type(page, get(is, "items"));
        return;
    }
    put(page, *type != '\0' ? type : "any of several");
    json_array_foreach (json_object_get(is, "enum"), i, value) {
        put(page, i == 0 ? ": <code>" : ", <code>");
        put_prose(page, json_string_value(value));
        put(page, "</code>");
    }
}

static void put_row(utapi_text *page, const char *prefix, const char *name, const json_t *schema,
                    const char *description, bool is_required)
{
    put(page, "<tr><td><code>");
    put_prose(page, prefix);
    put_prose(page, name);
    put(page, is_required ? "</code>, required</td><td>" : "</code></td><td>");
    put_type(page, schema);
    put(page, "</td><td>");
    put_prose(page, *description != '\0' ? description : text_of(resolve(schema), "description"));
    put(page, "</td></tr>\n");
}

static bool array_has(const json_t *array, const char *text)
{
    size_t i;
    json_t *value;
    json_array_foreach (array, i, value)
        if (strcmp(json_string_value(value), text) == 0)
            return true;
    return false;
}

/* A row for each member, those of members too: "journal.waiting", "letters[].id". */
static void put_members(utapi_text *page, const char *prefix, const json_t *schema, unsigned depth)
{
    const char *name;
    json_t *member;
    size_t i;
    schema = resolve(schema);
    if (depth > SCHEMA_DEPTH_MAX)
        exit(EXIT_FAILURE);
    json_array_foreach (json_object_get(schema, "anyOf"), i, member)
        put_members(page, prefix, member, depth + 1);
    if (json_object_get(schema, "oneOf") != NULL)
        put_members(page, prefix, json_array_get(json_object_get(schema, "oneOf"), 0), depth + 1);
    if (json_object_get(schema, "items") != NULL) {
        char inner[160];
        (void)snprintf(inner, sizeof inner, "%.*s%s", (int)strlen(prefix) - (*prefix != '\0'), prefix,
                       *prefix != '\0' ? "[]." : "");
        put_members(page, inner, json_object_get(schema, "items"), depth + 1);
    }
    json_object_foreach ((json_t *)json_object_get(schema, "properties"), name, member) {
        char inner[160];
        put_row(page, prefix, name, member, "", array_has(json_object_get(schema, "required"), name));
        (void)snprintf(inner, sizeof inner, "%s%s.", prefix, name);
        put_members(page, inner, member, depth + 1);
    }
}

static void put_content(utapi_text *page, const json_t *content)
{
    const char *type;
    json_t *media;
    json_object_foreach ((json_t *)content, type, media) {
        utapi_text rows = {0};
        put_example(page, media);
        put_members(&rows, "", get(media, "schema"), 0);
        if (rows.size > 0) {
            put(page, "<table>\n");
            utapi_text_add_string(page, utapi_text_view(&rows));
            put(page, "</table>\n");
        }
        utapi_text_done(&rows);
    }
}

static void put_parameters(utapi_text *page, const json_t *list)
{
    size_t i;
    json_t *parameter;
    json_array_foreach (list, i, parameter)
        put_row(page, "", text_of(parameter, "name"), get(parameter, "schema"),
                text_of(parameter, "description"), json_is_true(json_object_get(parameter, "required")));
}

static void put_operation(utapi_text *page, const char *path, const char *method, const json_t *item)
{
    const json_t *operation = json_object_get(item, method);
    const json_t *own = json_object_get(operation, "parameters"),
                 *shared = json_object_get(item, "parameters");
    const bool is_old = json_is_true(json_object_get(operation, "deprecated"));
    const char *status;
    json_t *response;
    put(page, is_old ? "<section class=old><h3 id=" : "<section><h3 id=");
    put(page, text_of(operation, "operationId"));
    put(page, "><span class=\"method ");
    put(page, method);
    put(page, "\">");
    put(page, strcmp(method, "get") == 0 ? "GET" : "POST");
    put(page, "</span><code>");
    put_prose(page, path);
    put(page, "</code></h3>\n<p><b>");
    put_prose(page, text_of(operation, "summary"));
    put(page, ".</b> ");
    put_prose(page, text_of(operation, "description"));
    put(page, "</p>\n");
    if (json_array_size(own) + json_array_size(shared) > 0) {
        put(page, "<table>\n");
        put_parameters(page, shared);
        put_parameters(page, own);
        put(page, "</table>\n");
    }
    if (json_object_get(operation, "requestBody") != NULL) {
        put(page, "<h4>Request</h4>\n");
        put_content(page, get(get(operation, "requestBody"), "content"));
    }
    json_object_foreach ((json_t *)get(operation, "responses"), status, response) {
        const json_t *is = resolve(response);
        if (strchr(status, 'X') != NULL) /* the same everywhere: they have a chapter of their own */
            continue;
        put(page, "<h4>");
        put(page, status);
        put(page, "</h4>\n<p>");
        put_prose(page, text_of(is, "description"));
        put(page, "</p>\n");
        put_content(page, json_object_get(is, "content"));
    }
    put(page, "</section>\n");
}

/* ---- the page -------------------------------------------------------------------------------- */

typedef void operation_fn(utapi_text *page, const char *path, const char *method, const json_t *item);

static void put_link(utapi_text *page, const char *path, const char *method, const json_t *item)
{
    put(page, "<a href=\"#");
    put(page, text_of(json_object_get(item, method), "operationId"));
    put(page, strcmp(method, "get") == 0 ? "\">GET <code>" : "\">POST <code>");
    put_prose(page, path);
    put(page, "</code></a>\n");
}

static void each_operation(utapi_text *page, const char *tag, operation_fn *with)
{
    static const char *const methods[] = {"post", "get"};
    const char *path;
    json_t *item;
    json_object_foreach ((json_t *)get(document, "paths"), path, item)
        for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
            if (array_has(json_object_get(json_object_get(item, methods[i]), "tags"), tag))
                with(page, path, methods[i], item);
}

static void put_errors(utapi_text *page)
{
    static const char *const kinds[][2] = {{"Refused", "4xx"}, {"Failed", "5xx"}};
    const json_t *responses = get(get(document, "components"), "responses");
    put(page, "<h2>errors</h2>\n");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const json_t *is = get(responses, kinds[i][0]);
        put(page, "<h4>");
        put(page, kinds[i][1]);
        put(page, "</h4>\n<p>");
        put_prose(page, text_of(is, "description"));
        put(page, "</p>\n");
        put_content(page, get(is, "content"));
    }
}

static void put_page(utapi_text *page)
{
    size_t i;
    json_t *tag;
    const json_t *info = get(document, "info");
    put(page, "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport "
              "content=\"width=device-width\">\n<title>");
    put_prose(page, text_of(info, "title"));
    put(page, ": the HTTP API</title>\n<style>");
    put(page, style);
    put(page, "</style>\n<h1>");
    put_prose(page, text_of(info, "title"));
    put(page, " ");
    put_prose(page, text_of(info, "version"));
    put(page, "</h1>\n<p>");
    put_prose(page, text_of(info, "description"));
    put(page, "</p>\n<p>The same for programs: <a href=\"/openapi.json\">openapi.json</a>.</p>\n<nav>\n");
    json_array_foreach (get(document, "tags"), i, tag)
        each_operation(page, text_of(tag, "name"), put_link);
    put(page, "</nav>\n");
    json_array_foreach (get(document, "tags"), i, tag) {
        put(page, "<h2>");
        put_prose(page, text_of(tag, "name"));
        put(page, "</h2>\n<p>");
        put_prose(page, text_of(tag, "description"));
        put(page, "</p>\n");
        each_operation(page, text_of(tag, "name"), put_operation);
    }
    put_errors(page);
    put(page, "</html>\n");
}

/* ---- as C ------------------------------------------------------------------------------------ */

static void write_bytes(FILE *out, const char *name, utapi_string bytes)
{
    fprintf(out, "\nconst char openapi_%s[] = {", name);
    for (size_t i = 0; i < bytes.size; i++)
        fprintf(out, "%s%d,", i % BYTES_A_LINE == 0 ? "\n    " : "", bytes.data[i]);
    fprintf(out, "\n};\nconst size_t openapi_%s_size = sizeof openapi_%s;\n", name, name);
}

static bool file_read(const char *path, utapi_text *ret)
{
    char piece[4096];
    FILE *file = fopen(path, "re");
    for (size_t size; file != NULL && (size = fread(piece, 1, sizeof piece, file)) > 0;)
        utapi_text_add(ret, piece, size);
    return file != NULL && fclose(file) == 0 && !ret->failed;
}

int main(int argc, char **argv)
{
    utapi_text json = {0}, page = {0};
    json_error_t error = {.text = "it cannot be read"};
    if (argc != 3)
        return EXIT_FAILURE;
    json_t *read =
        file_read(argv[1], &json) ? json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, &error) : NULL;
    FILE *out = read != NULL ? fopen(argv[2], "we") : NULL;
    if (out == NULL) {
        fprintf(stderr, "openapi_page: %s, line %d: %s\n", argv[1], error.line, error.text);
        return EXIT_FAILURE;
    }
    document = read;
    put_page(&page);
    fputs("/* Made of docs/openapi.json by openapi_page.c. */\n#include \"openapi/openapi.h\"\n", out);
    write_bytes(out, "document", utapi_text_view(&json));
    write_bytes(out, "page", utapi_text_view(&page));
    const bool is_written = !page.failed && fclose(out) == 0;
    utapi_text_done(&json);
    utapi_text_done(&page);
    json_decref(read);
    return is_written ? EXIT_SUCCESS : EXIT_FAILURE;
}
