/* SPDX-License-Identifier: Apache-2.0 */
/* floor_redis.c - Redis alone: the commands that Utapi V1 sends for the same totals, pipelined, from a C client.
 *
 * A group's events are folded: one set of eight commands for each resource that the group touches. A question
 * is one interval's: its 47 counters and what stands in the two sorted sets. Always on a server of its own. */
#include "floors.h"

#include "generator.h"
#include "interrupt.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

enum { COMMANDS_A_RESOURCE = 8, COUNTERS = 47, NAME_MAX_BYTES = 80, REPLIES_MAX_BEHIND = 4096 };

typedef struct raw_redis {
    const floor_task *task;
    redisContext *redis;
    bench_generator generator;
    unsigned char *is_touched; /* owned; by number of resource */
    uint32_t *touched;         /* owned */
    unsigned behind;           /* replies that were not read yet */
} raw_redis;

static bool replies_read(raw_redis *self)
{
    for (; self->behind > 0; self->behind--) {
        redisReply *reply = NULL;
        if (redisGetReply(self->redis, (void **)&reply) != REDIS_OK || reply == NULL)
            return false;
        const bool is_error = reply->type == REDIS_REPLY_ERROR;
        freeReplyObject(reply);
        if (is_error)
            return false;
    }
    return true;
}

static void resource_name(const raw_redis *self, uint32_t number, char ret[NAME_MAX_BYTES])
{
    const uint32_t buckets = self->task->workload->buckets;
    if (number < buckets)
        (void)snprintf(ret, NAME_MAX_BYTES, "buckets:" BENCH_BUCKET_FORMAT, number);
    else if (number < buckets + BENCH_ACCOUNTS)
        (void)snprintf(ret, NAME_MAX_BYTES,
                       "accounts:"
                       "%064x",
                       number - buckets);
    else
        (void)snprintf(ret, NAME_MAX_BYTES, "service:%u", number - buckets);
}

static void resource_change(raw_redis *self, uint32_t number)
{
    char name[NAME_MAX_BYTES];
    const long long interval = (long long)self->generator.origin_ms;
    redisContext *redis = self->redis;
    resource_name(self, number, name);
    redisAppendCommand(redis, "INCRBY s3:%s:storageUtilized:counter 1024", name);
    redisAppendCommand(redis, "INCRBY s3:%s:numberOfObjects:counter 1", name);
    redisAppendCommand(redis, "ZREMRANGEBYSCORE s3:%s:storageUtilized %lld %lld", name, interval, interval);
    redisAppendCommand(redis, "ZADD s3:%s:storageUtilized %lld 1024:%llu", name, interval,
                       (unsigned long long)self->generator.serial);
    redisAppendCommand(redis, "ZREMRANGEBYSCORE s3:%s:numberOfObjects %lld %lld", name, interval, interval);
    redisAppendCommand(redis, "ZADD s3:%s:numberOfObjects %lld 1:%llu", name, interval,
                       (unsigned long long)self->generator.serial);
    redisAppendCommand(redis, "INCRBY s3:%lld:%s:incomingBytes 1024", interval, name);
    redisAppendCommand(redis, "INCRBY s3:%lld:%s:PutObject 1", interval, name);
    self->behind += COMMANDS_A_RESOURCE;
}

static void touch(raw_redis *self, uint32_t number, size_t *count)
{
    if (self->is_touched[number] == 0)
        self->touched[(*count)++] = number;
    self->is_touched[number] = 1;
}

static bool question_send(raw_redis *self);

static void events_draw(raw_redis *self, unsigned events, size_t *count)
{
    const uint32_t buckets = self->task->workload->buckets;
    for (unsigned i = 0; i < events; i++) {
        bench_item item;
        bench_generator_item(&self->generator, &item);
        touch(self, item.bucket, count);
        touch(self, buckets + bench_account_of(item.bucket), count);
        touch(self, buckets + BENCH_ACCOUNTS, count);
        touch(self, buckets + BENCH_ACCOUNTS + 1, count);
    }
}

/* Draws requests until they have so many events, and answers the questions among them. */
static bool group_send(raw_redis *self, unsigned events, uint64_t *units)
{
    size_t count = 0;
    bool is_well = true;
    for (unsigned drawn = 0; drawn < events && is_well;) {
        bench_request request;
        if (!bench_generator_next(&self->generator, &request)) { /* a rollover is over */
            bench_generator_measure(&self->generator);
            continue;
        }
        events_draw(self, request.item_count, &count);
        drawn += request.item_count;
        is_well = !request.is_query || question_send(self);
        *units += bench_workload_counts_events(self->task->workload) ? request.item_count : 1;
    }
    for (size_t i = 0; i < count && is_well; i++) {
        self->is_touched[self->touched[i]] = 0;
        resource_change(self, self->touched[i]);
        if (self->behind >= REPLIES_MAX_BEHIND)
            is_well = replies_read(self);
    }
    return is_well && replies_read(self);
}

static bool question_send(raw_redis *self)
{
    for (unsigned i = 0; i < self->task->workload->names; i++) {
        char command[64 * COUNTERS];
        size_t size = (size_t)snprintf(command, sizeof command, "MGET");
        for (unsigned counter = 0; counter < COUNTERS; counter++)
            size += (size_t)snprintf(command + size, sizeof command - size, " s3:buckets:%u:%lld:Count%02u",
                                     i, (long long)self->generator.origin_ms, counter);
        redisAppendCommand(self->redis, command);
        for (unsigned set = 0; set < 4; set++)
            redisAppendCommand(self->redis, "ZREVRANGEBYSCORE s3:buckets:%u:set%u %lld -inf LIMIT 0 1", i,
                               set, (long long)self->generator.origin_ms);
        self->behind += 5;
    }
    return replies_read(self);
}

static utapi_status measure(raw_redis *self, double *ret_per_s, utapi_error *err)
{
    const bench_workload *workload = self->task->workload;
    const bool is_list = workload->kind == BENCH_LIST;
    const unsigned events = bench_workload_group_events(workload);
    const int64_t begin_ns = utapi_monotonic_ns();
    uint64_t count = 0;
    bench_generator_measure(&self->generator);
    do {
        uint64_t units = is_list ? 1 : 0;
        if (!(is_list ? question_send(self) : group_send(self, events, &units)))
            return utapi_fail(err, UTAPI_UNAVAILABLE, "raw Redis: %s", self->redis->errstr);
        count += units;
    } while ((double)(utapi_monotonic_ns() - begin_ns) < self->task->seconds * 1e9 &&
             !bench_is_interrupted());
    *ret_per_s = (double)count * 1e9 / (double)(utapi_monotonic_ns() - begin_ns);
    return UTAPI_OK;
}

static utapi_status run(raw_redis *self, const char *folder, double *ret_per_s, utapi_error *err)
{
    char path[BENCH_PATH_MAX];
    bench_redis_socket(folder, path);
    self->redis = redisConnectUnix(path);
    const size_t resources = (size_t)self->task->workload->buckets + BENCH_ACCOUNTS + 2;
    self->is_touched = calloc(resources, sizeof *self->is_touched);
    self->touched = calloc(resources, sizeof *self->touched);
    if (self->redis == NULL || self->is_touched == NULL || self->touched == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "raw Redis");
    if (self->redis->err != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "raw Redis: %s", self->redis->errstr);
    return measure(self, ret_per_s, err);
}

utapi_status floor_redis(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    char folder[BENCH_PATH_MAX];
    child server = {0};
    utapi_status status = bench_folder_make(task->workspace, folder, err);
    if (status != UTAPI_OK)
        return status;
    status = bench_redis_start(task->workspace, folder, &server, err);
    if (status == UTAPI_OK) {
        raw_redis self = {.task = task,
                          .generator = {.workload = task->workload,
                                        .origin_ms = task->origin_ms,
                                        .random = task->workspace->options->seed}};
        status = run(&self, folder, ret_per_s, err);
        if (self.redis != NULL)
            redisFree(self.redis);
        free(self.is_touched);
        free(self.touched);
    }
    child_stop(&server);
    bench_folder_remove(folder);
    return status;
}
