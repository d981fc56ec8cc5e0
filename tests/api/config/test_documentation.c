/* SPDX-License-Identifier: Apache-2.0 */
/* test_documentation.c - docs/configuration.md against the table of keys: a section for each key and none for
 * others, in the table's order, with its default and its names; and every example is accepted. */
#include "settings.h"

static const char *path;
static char *text; /* the whole document */

static int read_document(void **state)
{
    size_t room = 0;
    (void)state;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    const ssize_t size = getdelim(&text, &room, '\0', file);
    (void)fclose(file);
    settings_clear_environment();
    return size > 0 ? 0 : -1;
}

static int free_document(void **state)
{
    (void)state;
    free(text);
    return 0;
}

/* The section of the document under "### `path`", copied; up to the next heading. */
static char *section_of(const config_key *key)
{
    char heading[96];
    (void)snprintf(heading, sizeof heading, "\n### `%s`\n", key->path);
    const char *start = strstr(text, heading);
    if (start == NULL) {
        fail_msg("no section for %s", key->path);
        return NULL;
    }
    start += strlen(heading);
    const char *end = strstr(start, "\n#");
    return end != NULL ? strndup(start, (size_t)(end - start)) : strdup(start);
}

static void must_say(const char *section, const char *path_of_key, const char *words)
{
    if (strstr(section, words) == NULL)
        fail_msg("the section of %s does not say \"%s\"", path_of_key, words);
}

static void every_key_has_its_section(void **state)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        char line[192];
        char *section = section_of(&keys[i]);
        const char *form = keys[i].compute == NULL || strchr(keys[i].fallback, ' ') == NULL
                               ? "- Default: `%s`\n"
                               : "- Default: %s\n";
        (void)snprintf(line, sizeof line, form, keys[i].fallback);
        must_say(section, keys[i].path, *keys[i].fallback != '\0' ? line : "- Default: none\n");
        (void)snprintf(line, sizeof line, "- Environment: `%s`\n", keys[i].environment);
        must_say(section, keys[i].path, line);
        if (keys[i].flag != NULL) {
            (void)snprintf(line, sizeof line, "- Flag: `--%s%s%s`\n", keys[i].flag,
                           keys[i].argument != NULL ? " " : "",
                           keys[i].argument != NULL ? keys[i].argument : "");
            must_say(section, keys[i].path, line);
        }
        must_say(section, keys[i].path, "```json\n{");
        free(section);
    }
}

static void no_section_is_about_another_key(void **state)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    size_t number = 0;
    (void)state;
    for (const char *at = text; (at = strstr(at, "\n### `")) != NULL; number++) {
        at += strlen("\n### `");
        const size_t size = strcspn(at, "`");
        assert_true(number < count);
        if (strlen(keys[number].path) != size || strncmp(keys[number].path, at, size) != 0)
            fail_msg("section %zu is about %.*s, not %s", number, (int)size, at, keys[number].path);
    }
    assert_int_equal(number, count);
}

static void every_example_is_taken_and_sets_its_key(void **state)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        settings s = {0};
        char *section = section_of(&keys[i]);
        char *example = strstr(section, "```json\n") + strlen("```json\n");
        *strstr(example, "\n```") = '\0';
        settings_write(&s, example);
        CHECK_OK(settings_load(&s), &s.err);
        const char *last = strrchr(keys[i].path, '.');
        must_say(example, keys[i].path, last != NULL ? last + 1 : keys[i].path);
        settings_done(&s);
        free(section);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_section),
        cmocka_unit_test(no_section_is_about_another_key),
        cmocka_unit_test(every_example_is_taken_and_sets_its_key),
    };
    path = argc > 1 ? argv[1] : "configuration.md";
    return cmocka_run_group_tests(tests, read_document, free_document);
}
