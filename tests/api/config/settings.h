/* SPDX-License-Identifier: Apache-2.0 */
/**
 * settings.h - for tests of config_load(): files made of text, flags by name, a clean environment.
 */
#ifndef TEST_SETTINGS_H
#define TEST_SETTINGS_H

#include "check.h"
#include "config/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS_MAX_KEYS 128

static const char *const settings_backends[] = {"lmdb", "memory", "redis", NULL};

/* What one load is made of. */
typedef struct settings {
    char path[64]; /* of the file; "": none */
    const char *flags[SETTINGS_MAX_KEYS];
    config config;
    utapi_error err;
} settings;

static inline void settings_clear_environment(void)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    assert_true(count <= SETTINGS_MAX_KEYS);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(unsetenv(keys[i].environment), 0);
    assert_int_equal(unsetenv("UTAPI_CONFIG_FILE"), 0);
}

static inline void settings_write(settings *self, const char *json)
{
    (void)snprintf(self->path, sizeof self->path, "/tmp/utapi-config-XXXXXX");
    const int fd = mkstemp(self->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, json, strlen(json)), (ssize_t)strlen(json));
    assert_int_equal(close(fd), 0);
}

static inline void settings_flag(settings *self, const char *path, const char *value)
{
    size_t count;
    self->flags[config_key_find(path) - config_keys(&count)] = value;
}

static inline utapi_status settings_load(settings *self)
{
    const config_inputs inputs = {.file = *self->path != '\0' ? self->path : NULL,
                                  .flags = self->flags,
                                  .backends = settings_backends,
                                  .is_root = false};
    utapi_error_clear(&self->err);
    return config_load(&inputs, &self->config, &self->err);
}

static inline void settings_done(settings *self)
{
    config_done(&self->config);
    if (*self->path != '\0')
        assert_int_equal(unlink(self->path), 0);
    *self = (settings){0};
}

/* Whether a list lets an IPv4 address through. */
static inline bool settings_allow(const allow_list *list, const char *address)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, address, &peer.sin_addr), 1);
    return allow_list_has(list, (const struct sockaddr *)&peer);
}

/* cmocka's setup and teardown of a case. */
static inline int settings_clean(void **state)
{
    (void)state;
    settings_clear_environment();
    return setenv("XDG_STATE_HOME", "/state", 1);
}

#define SETTINGS_CASE(name) cmocka_unit_test_setup_teardown(name, settings_clean, settings_clean)

#endif
