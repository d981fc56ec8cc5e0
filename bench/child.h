/* SPDX-License-Identifier: Apache-2.0 */
/**
 * child.h - programs that a run needs: servers, started here, ended by their process id, and never left behind.
 *
 * A child has a process group of its own, so that Ctrl-C reaches us alone and we end it; and it is killed
 * when we are.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include "utapi/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** `child c = {0};` is none. */
typedef struct child {
    pid_t pid;  /* 0: none */
    int out_fd; /* what it prints */
} child;

/**
 * Starts a program.
 *
 * @param arguments  ends with NULL; the first is the program, looked for in the PATH if it has no slash
 * @param log        file that its stderr is added to
 */
UTAPI_MUST_USE utapi_status child_start(const char *const *arguments, const char *log, child *ret,
                                        utapi_error *err);

/**
 * Reads what it prints until a line begins with a prefix.
 *
 * @param ret  the rest of that line, with a NUL
 * @return UTAPI_UNAVAILABLE, and how, if it ends; or if it says nothing for a minute
 */
UTAPI_MUST_USE utapi_status child_wait_line(child *self, const char *prefix, char *ret, size_t size,
                                            utapi_error *err);

/** Asks it to end, waits, and ends it the hard way after half a minute. None is fine. */
void child_stop(child *self);

/** Waits until it ends by itself. Returns its exit status; CHILD_CANNOT_START if there is no such program; -1 if
 * a signal ended it. */
int child_finish(child *self);

enum { CHILD_CANNOT_START = 127 };

/** Whether it has ended by itself; then it is none. */
bool child_has_ended(child *self);

/** What it has in memory: all of it, and the part that is not a file's. False if that is not known. */
bool child_memory(const child *self, uint64_t *ret_bytes, uint64_t *ret_anonymous_bytes);

#endif
