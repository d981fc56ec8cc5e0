/* SPDX-License-Identifier: Apache-2.0 */
/* redis.c - one URI out of many keys. It is written into memory by stdio, which remembers a failure until the
 * end. Whatever somebody chose (user, password, name) is percent-encoded, so that it cannot say anything else. */
#include "config/redis.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>

/* RFC 3986: what never needs encoding. */
static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

static void put_encoded(FILE *out, const char *text, const char *also)
{
    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL || strchr(also, *text) != NULL)
            (void)fputc(*text, out);
        else
            (void)fprintf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

static void put_option(FILE *out, char *separator, const char *name, const char *value)
{
    if (value == NULL)
        return;
    (void)fprintf(out, "%c%s=", *separator, name);
    put_encoded(out, value, "");
    *separator = '&';
}

static void put_number(FILE *out, char *separator, const char *name, int64_t value)
{
    if (value == 0)
        return;
    (void)fprintf(out, "%c%s=%lld", *separator, name, (long long)value);
    *separator = '&';
}

/* "user:password@" */
static void put_login(FILE *out, const config_redis *redis)
{
    if (redis->password == NULL)
        return;
    put_encoded(out, redis->username != NULL ? redis->username : "", "");
    (void)fputc(':', out);
    put_encoded(out, redis->password, "");
    (void)fputc('@', out);
}

static void put_place(FILE *out, const config_redis *redis)
{
    const bool is_ipv6 = strchr(redis->host, ':') != NULL;
    if (redis->path != NULL) {
        put_encoded(out, redis->path, "/");
    } else if (redis->sentinels != NULL) {
        (void)fprintf(out, "%s/", redis->sentinels);
        put_encoded(out, redis->name, "");
    } else {
        (void)fprintf(out, "%s%s%s:%lld", is_ipv6 ? "[" : "", redis->host, is_ipv6 ? "]" : "",
                      (long long)redis->port);
    }
}

static const char *scheme_of(const config_redis *redis)
{
    if (redis->path != NULL)
        return "redis+unix://";
    return redis->sentinels != NULL ? "redis-sentinel://" : "redis://";
}

static void put_keys(FILE *out, const config_redis *redis, const char *prefix)
{
    char separator = '?';
    (void)fputs(scheme_of(redis), out);
    put_login(out, redis);
    put_place(out, redis);
    put_number(out, &separator, "database", redis->database);
    put_number(out, &separator, "connectTimeout", redis->connect_timeout_ms);
    put_number(out, &separator, "timeout", redis->timeout_ms);
    put_option(out, &separator, "sentinelPassword",
               redis->path == NULL && redis->sentinels != NULL ? redis->sentinel_password : NULL);
    put_option(out, &separator, "prefix", prefix);
}

/* A URI that names a prefix of its own keeps it. */
static void put_url(FILE *out, const char *url, const char *prefix)
{
    const char *query = strchr(url, '?');
    char separator = query != NULL ? '&' : '?';
    const bool has_prefix =
        query != NULL && (strncmp(query, "?prefix=", 8) == 0 || strstr(query, "&prefix=") != NULL);
    (void)fputs(url, out);
    put_option(out, &separator, "prefix", has_prefix ? NULL : prefix);
}

static utapi_status check(const config_redis *redis, const char *group, utapi_error *err)
{
    if (redis->url != NULL)
        return UTAPI_OK;
    if (redis->username != NULL && redis->password == NULL)
        return utapi_fail(err, UTAPI_INVALID, "%s.username: a user needs a password: %s.password", group,
                          group);
    if (redis->path == NULL && redis->sentinels != NULL && redis->name == NULL)
        return utapi_fail(err, UTAPI_INVALID,
                          "%s.sentinels: they must be asked for a name, so %s.name must be there", group,
                          group);
    return UTAPI_OK;
}

utapi_status config_redis_uri(const config_redis *redis, const char *group, const char *prefix, char **ret,
                              utapi_error *err)
{
    UTAPI_AUTO_FREE char *text = NULL;
    size_t size = 0;
    const utapi_status status = check(redis, group, err);
    FILE *out = status == UTAPI_OK ? open_memstream(&text, &size) : NULL;
    if (status != UTAPI_OK)
        return status;
    if (out == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    if (redis->url != NULL)
        put_url(out, redis->url, prefix);
    else
        put_keys(out, redis, prefix);
    const bool is_whole = ferror(out) == 0;
    if (fclose(out) != 0 || !is_whole)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    *ret = UTAPI_TAKE(text);
    return UTAPI_OK;
}
