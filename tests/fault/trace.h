/* SPDX-License-Identifier: Apache-2.0 */
/**
 * trace.h - the record of what a program gave to its disk, in order: written by shim.c, read by power.c.
 *
 * A record, and after one of a write its bytes, of a move the new path. A program adds marks of its own: how far it was
 * acknowledged.
 */
#ifndef FAULT_TRACE_H
#define FAULT_TRACE_H

#include <stdint.h>

typedef enum trace_kind {
    TRACE_WRITE, /* size bytes at offset of the file */
    TRACE_SYNC,  /* everything written to the file before this is on the disk */
    TRACE_MOVE,  /* the file has another path from here on, of size bytes */
    TRACE_MARK,  /* offset: a number of the program's own */
} trace_kind;

typedef struct trace_record {
    uint32_t kind;
    char file[60]; /* its path below UTAPI_FAULT_DIR */
    uint64_t offset, size;
} trace_record;

#endif
