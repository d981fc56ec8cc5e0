/* SPDX-License-Identifier: Apache-2.0 */
/*
 * power.c - the power fails: of what was written since a file's last sync, any part may be on the disk.
 *
 * usage: power SCENARIO SHIM KIND ROUNDS [SEED]. The scenario runs once under the shim, which records all that it
 * gives to the disk. Then, again and again: a point in that record is drawn; everything before the last sync at
 * that point is on the disk; of what was written after it each sector of 512 bytes is, or is not. The storage is
 * opened on the disk that results: all that had been acknowledged must be there, nothing by halves, and sending
 * everything again must end in the exact totals. The scenario itself checks that.
 */
#include "folder.h"
#include "trace.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECTOR = 512, NO_FAULT = 10 };

typedef struct power {
    const char *scenario, *shim, *kind;
    unsigned char *trace; /* records, each with its bytes */
    size_t size;
    size_t *starts; /* where each record begins */
    size_t count;
    uint64_t random;
} power;

static uint64_t draw(power *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random;
}

static const trace_record *record_at(const power *p, size_t index)
{
    return (const trace_record *)(const void *)(p->trace + p->starts[index]);
}

/* ---- the record of one life --------------------------------------------------------------- */

/* Runs the scenario. Returns its exit status. */
static int scenario_run(const power *p, const char *folder, const char *trace, const char *acknowledged)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (trace != NULL) {
            (void)setenv("LD_PRELOAD", p->shim, 1);
            (void)setenv("UTAPI_FAULT_TRACE", trace, 1);
            (void)setenv("UTAPI_FAULT_DIR", folder, 1);
        }
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDOUT_FILENO);
        (void)execl(p->scenario, p->scenario, p->kind, folder, acknowledged, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void trace_load(power *p, const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat what;
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &what), 0);
    p->size = (size_t)what.st_size;
    p->trace = malloc(p->size);
    p->starts = calloc(p->size / sizeof(trace_record) + 1, sizeof *p->starts);
    assert_true(p->trace != NULL && p->starts != NULL);
    assert_int_equal(fread(p->trace, 1, p->size, file), p->size);
    (void)fclose(file);
    for (size_t at = 0; at < p->size;) {
        p->starts[p->count++] = at;
        at += sizeof(trace_record) + (size_t)record_at(p, p->count - 1)->size;
    }
}

static void life_record(power *p)
{
    char folder[256], data[288], trace[288];
    support_folder_make(folder);
    (void)snprintf(data, sizeof data, "%s/data", folder);
    (void)snprintf(trace, sizeof trace, "%s/trace", folder);
    assert_int_equal(mkdir(data, 0700), 0);
    assert_int_equal(scenario_run(p, data, trace, NULL), NO_FAULT);
    trace_load(p, trace);
    support_folder_remove(folder);
    assert_true(p->count > 20);
}

/* ---- the disk after a failure ------------------------------------------------------------- */

/* Where a record's file lies when the power fails at `end`: it may have been moved since. */
static const char *path_at(const power *p, size_t index, size_t end)
{
    const char *path = record_at(p, index)->file;
    for (size_t i = index + 1; i < end; i++) {
        const trace_record *record = record_at(p, i);
        if (record->kind == TRACE_MOVE && strcmp(record->file, path) == 0)
            path = (const char *)(record + 1);
    }
    return path;
}

/* Whether a record's file was synced between the record and `end`. */
static bool is_synced(const power *p, size_t index, size_t end)
{
    const char *path = path_at(p, index, end);
    for (size_t i = index + 1; i < end; i++)
        if (record_at(p, i)->kind == TRACE_SYNC && strcmp(path_at(p, i, end), path) == 0)
            return true;
    return false;
}

static void sectors_write(power *p, int fd, const trace_record *record, bool all)
{
    const unsigned char *bytes = (const unsigned char *)(record + 1);
    for (size_t at = 0; at < record->size; at += SECTOR) {
        const size_t size = record->size - at < SECTOR ? (size_t)record->size - at : SECTOR;
        if (all || draw(p) % 2 == 0)
            assert_int_equal(pwrite(fd, bytes + at, size, (off_t)(record->offset + at)), size);
    }
}

/* Makes what folders a path has below its first `above` bytes. */
static void folders_make(char *path, size_t above)
{
    for (char *slash = strchr(path + above + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

/* Makes the files as they may be found when the power fails at `end`. Returns what was acknowledged by then. */
static uint64_t disk_make(power *p, const char *folder, size_t end)
{
    uint64_t acknowledged = 0;
    const bool loses_all = draw(p) % 4 == 0;
    for (size_t i = 0; i < end; i++) {
        const trace_record *record = record_at(p, i);
        if (record->kind == TRACE_MARK)
            acknowledged = record->offset;
        if (record->kind != TRACE_WRITE)
            continue;
        const bool synced = is_synced(p, i, end);
        if (!synced && loses_all)
            continue;
        char path[320];
        (void)snprintf(path, sizeof path, "%s/%s", folder, path_at(p, i, end));
        folders_make(path, strlen(folder));
        const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        sectors_write(p, fd, record, synced);
        (void)close(fd);
    }
    return acknowledged;
}

static void power_fails(power *p, size_t end)
{
    char folder[256], acknowledged[24];
    support_folder_make(folder);
    const uint64_t random = p->random;
    (void)snprintf(acknowledged, sizeof acknowledged, "%llu", (unsigned long long)disk_make(p, folder, end));
    const int status = scenario_run(p, folder, NULL, acknowledged);
    if (status != NO_FAULT)
        fail_msg(
            "power fails at record %zu of %zu, %s acknowledged, random state %llu: the scenario ended with %d",
            end, p->count, acknowledged, (unsigned long long)random, status);
    support_folder_remove(folder);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return EXIT_FAILURE;
    power p = {.scenario = argv[1],
               .shim = argv[2],
               .kind = argv[3],
               .random = argc > 5 ? strtoull(argv[5], NULL, 10) : UINT64_C(88172645463325252)};
    const long long rounds = strtoll(argv[4], NULL, 10);
    life_record(&p);
    for (long long round = 0; round < rounds; round++)
        power_fails(&p, round < (long long)p.count ? (size_t)round + 1 : draw(&p) % p.count + 1);
    (void)printf("%s: the power failed %lld times, at any of %zu writes and syncs: all is well\n", p.kind,
                 rounds, p.count);
    free(p.trace);
    free(p.starts);
    return EXIT_SUCCESS;
}
