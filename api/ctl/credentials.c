/* SPDX-License-Identifier: Apache-2.0 */
/* credentials.c - a key from a file, the environment, or an ini file of the AWS tools. It lives as long as the
 * program. */
#include "ctl/credentials.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a secret in a file ---------------------------------------------------------------------- */

static bool secret_read(const char *path, const char **ret)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    const ssize_t size = file != NULL ? getline(&line, &room, file) : -1;
    const bool is_read = size > 0 && strcspn(line, "\r\n") > 0;
    if (is_read) {
        line[strcspn(line, "\r\n")] = '\0';
        *ret = line;
    } else {
        ctl_say("--secret-key-file: %s: %s", path, file == NULL ? strerror(errno) : "there is no key in it");
        free(line);
    }
    if (file != NULL && !is_stdin)
        (void)fclose(file);
    return is_read;
}

/* ---- profiles --------------------------------------------------------------------------------- */

static const char blank[] = " \t\r\n";

/* Cuts blanks off both ends of a text, in place. */
static char *trim(char *text)
{
    text += strspn(text, blank);
    for (size_t size = strlen(text); size > 0 && strchr(blank, text[size - 1]) != NULL;)
        text[--size] = '\0';
    return text;
}

/* "name = value": takes a value that is one of the key's and not there yet. */
static bool value_take(char *line, client_endpoint *endpoint)
{
    const struct {
        const char *name, **member;
    } members[] = {{"aws_access_key_id", &endpoint->access_key},
                   {"aws_secret_access_key", &endpoint->secret_key},
                   {"aws_session_token", &endpoint->session_token}};
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return true;
    *equals = '\0';
    const char *name = trim(line);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (strcmp(name, members[i].name) != 0 || *members[i].member != NULL)
            continue;
        *members[i].member = strdup(trim(equals + 1));
        return *members[i].member != NULL;
    }
    return true;
}

/* Reads the section of a profile; false if there is none. */
static bool profile_read(FILE *file, const char *profile, client_endpoint *endpoint)
{
    char *line = NULL;
    size_t room = 0;
    bool is_in = false, is_found = false, has_memory = true;
    while (has_memory && getline(&line, &room, file) > 0) {
        char *text = trim(line);
        if (*text == '[') {
            text[strcspn(text, "]")] = '\0';
            is_in = strcmp(trim(text + 1), profile) == 0;
            is_found = is_found || is_in;
        } else if (is_in && *text != '#' && *text != ';')
            has_memory = value_take(text, endpoint);
    }
    if (line != NULL)
        explicit_bzero(line, room);
    free(line);
    return is_found && has_memory;
}

static bool profile_find(const char *profile, bool is_named, client_endpoint *endpoint)
{
    char path[PATH_MAX];
    const char *file_path = getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = getenv("HOME");
    if (file_path == NULL || *file_path == '\0') {
        (void)snprintf(path, sizeof path, "%s/.aws/credentials", home != NULL ? home : "");
        file_path = path;
    }
    FILE *file = fopen(file_path, "re");
    const bool is_found = file != NULL && profile_read(file, profile, endpoint);
    if (!is_found && is_named)
        ctl_say("there is no profile \"%s\" in %s", profile, file_path);
    if (file != NULL)
        (void)fclose(file);
    return is_found || !is_named;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

bool credentials_find(client_endpoint *endpoint, const char *profile, const char *secret_file)
{
    if (secret_file != NULL && !secret_read(secret_file, &endpoint->secret_key))
        return false;
    if (profile != NULL && !profile_find(profile, true, endpoint))
        return false;
    if (endpoint->access_key == NULL) {
        endpoint->access_key = environment("AWS_ACCESS_KEY_ID");
        endpoint->session_token = environment("AWS_SESSION_TOKEN");
    }
    if (endpoint->secret_key == NULL)
        endpoint->secret_key = environment("AWS_SECRET_ACCESS_KEY");
    const char *named = environment("AWS_PROFILE");
    if (endpoint->access_key == NULL && endpoint->secret_key == NULL &&
        !profile_find(named != NULL ? named : "default", named != NULL, endpoint))
        return false;
    if (endpoint->access_key != NULL && endpoint->secret_key != NULL)
        return true;
    ctl_say(
        "no key to sign with: --access-key and --secret-key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "--profile; or --no-sign, for a server that does not ask for it");
    return false;
}
