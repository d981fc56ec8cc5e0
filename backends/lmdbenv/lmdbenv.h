/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdbenv.h - an LMDB environment of our own: what the embedded storage and the journal have in common.
 *
 * A folder with a lock that keeps a second process out; tables of a known format; a map with a reserve; one writer,
 * a pool of readers; and a gate, which all that runs in the environment goes through, so that one which LMDB gave
 * up can be opened again. Safe from any thread, but for opening and closing.
 */
#ifndef LMDBENV_LMDBENV_H
#define LMDBENV_LMDBENV_H

#include "utapi/status.h"
#include "utapi/string.h"

#include <endian.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { UTAPI_LMDBENV_TABLES_MAX = 12 };

/* What is particular to a kind of environment. */
typedef struct utapi_lmdbenv_layout {
    const char *const *tables; /* their names; the last one is that of `meta`, which holds the format */
    unsigned table_count;
    unsigned reader_table;      /* the one that a reader keeps a cursor in */
    unsigned readers;           /* the most that read at once */
    uint32_t format_first;      /* of a new environment; */
    uint32_t format;            /* the newest one that is known: utapi_lmdbenv_raise() */
    uint64_t map_default_bytes; /* sparse: pages that are not used cost nothing */
    uint64_t map_min_bytes;     /* of the default, where less address space is to be had */
    uint64_t reserve_min_bytes; /* a twentieth of the map, and no less than this, is for upkeep alone; */
    uint64_t small_map_bytes;   /* of a smaller map a quarter */
    const char *lock_file;
    const char *prefix; /* what its errors begin with: "", "the journal: " */
    const char *full;   /* "the map is full" */
    const char *name;   /* "the map" */
    const char *in_use; /* what follows the folder's name where another process has it */
} utapi_lmdbenv_layout;

/* A read transaction of the pool. */
typedef struct utapi_lmdbenv_reader {
    struct utapi_lmdbenv_reader *next;
    MDB_txn *txn;
    MDB_cursor *cursor; /* in the layout's reader_table; it stands nowhere yet */
} utapi_lmdbenv_reader;

typedef struct utapi_lmdbenv {
    const utapi_lmdbenv_layout *layout; /* static */
    char *location;                     /* owned */
    uint64_t capacity_bytes;            /* as asked for; 0: the default */
    int lock_fd;                        /* holds the lock that keeps a second opener out */

    pthread_rwlock_t gate; /* shared by what runs in the environment; exclusive: it is opened again */
    MDB_env *mdb;          /* NULL: it is not open */
    MDB_dbi tables[UTAPI_LMDBENV_TABLES_MAX];
    uint32_t format;                /* guarded by `writing` */
    _Atomic uint64_t map_pages;     /* what the map can hold */
    _Atomic uint64_t reserve_pages; /* of these, what only upkeep may use */
    atomic_size_t page_size;
    atomic_bool broken;       /* LMDB gave the environment up: it is opened again before the next use */
    atomic_size_t committing; /* the newest transaction whose commit began */
    atomic_size_t committed;  /* the newest one that is known to be stored */

    pthread_mutex_t writing; /* held through a write, and by who wants to keep writes out */

    pthread_mutex_t lock; /* guards what follows */
    utapi_lmdbenv_reader *pool;
    size_t space_txn; /* the transaction that free pages were counted at */
    uint64_t free_pages;
} utapi_lmdbenv;

/* ---- opening and closing ------------------------------------------------------------------ */

/**
 * Makes the folder if need be, locks it, and opens the environment and its tables.
 *
 * @param env   utapi_lmdbenv_close(), whatever is returned
 * @return UTAPI_LOCKED       another process has it, and two seconds later still
 *         UTAPI_INVALID      no path, or a map that the address space has no room for
 *         UTAPI_CORRUPT      of a format that this version does not know, or broken
 *         UTAPI_UNAVAILABLE, UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_open(utapi_lmdbenv *env, const utapi_lmdbenv_layout *layout,
                                               const char *location, uint64_t capacity_bytes,
                                               utapi_error *err);

/** Opens it again, within the gate. Nothing is open on failure: it stays broken. */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_reopen(utapi_lmdbenv *env, utapi_error *err);

/** Nobody may be using it. One that is all zero has nothing to close. */
void utapi_lmdbenv_close(utapi_lmdbenv *env);

/* ---- transactions ------------------------------------------------------------------------- */

/** Begins to read, through the gate. End it with utapi_lmdbenv_read_end(). UTAPI_UNAVAILABLE, UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_read_begin(utapi_lmdbenv *env, utapi_lmdbenv_reader **ret,
                                                     utapi_error *err);
void utapi_lmdbenv_read_end(utapi_lmdbenv *env, utapi_lmdbenv_reader *reader);

/** Frees a reader that is not in the pool, half made or whole. */
void utapi_lmdbenv_reader_free(utapi_lmdbenv_reader *reader);

/**
 * Begins to write, through the gate, when nobody else does: one at a time, from begin to leave on one thread.
 *
 * @return UTAPI_OK: after utapi_lmdbenv_write_end() comes utapi_lmdbenv_write_leave(); else it has been left
 */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_write_begin(utapi_lmdbenv *env, MDB_txn **ret, utapi_error *err);

/**
 * Ends a write: commits if status is UTAPI_OK, else undoes it. Others still wait.
 *
 * @return status, or what became of the commit: UTAPI_UNAVAILABLE if nothing was stored,
 *         UTAPI_UNCERTAIN if that is not known
 */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_write_end(utapi_lmdbenv *env, MDB_txn *txn, utapi_status status,
                                                    utapi_error *err);

/**
 * Within a write: raises the environment's format to the newest, before something is stored that older programs do not
 * understand. Once that is committed env->format tells it: the caller sets it then.
 */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_raise(utapi_lmdbenv *env, MDB_txn *txn, utapi_error *err);

/** Lets others write. */
void utapi_lmdbenv_write_leave(utapi_lmdbenv *env);

/* ---- space -------------------------------------------------------------------------------- */

/** How many pages there are for all but upkeep. */
uint64_t utapi_lmdbenv_room_pages(const utapi_lmdbenv *env);

/**
 * Pages up to the last one that was ever used, less free ones. Those are counted only if the former are more than
 * `enough`.
 */
UTAPI_MUST_USE utapi_status utapi_lmdbenv_used_pages(utapi_lmdbenv *env, uint64_t enough, uint64_t *ret,
                                                     utapi_error *err);

/**
 * Says what is nearly full: 80 % of the pages that there are for all but upkeep are in use, or of the disk, where what
 * is left of it is less than what the map may still take.
 *
 * @param ret  "": nothing is
 */
void utapi_lmdbenv_warn(const utapi_lmdbenv *env, uint64_t used_pages, char *ret, size_t size);

/** UTAPI_UNAVAILABLE: so many pages are in use, and that is too much. */
utapi_status utapi_lmdbenv_fail_full(const utapi_lmdbenv *env, uint64_t used_pages, utapi_error *err);

/* ---- values and codes --------------------------------------------------------------------- */

/** Maps a code of LMDB, or an errno, to a status, with a sentence. rc is not 0. */
utapi_status utapi_lmdbenv_fail(const utapi_lmdbenv_layout *layout, utapi_error *err, int rc,
                                const char *doing);

static inline MDB_val utapi_lmdbenv_val(const void *data, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *)(uintptr_t)data};
}

/** Numbers in keys are big-endian, so that they sort. */
static inline void utapi_lmdbenv_put_u32(unsigned char *at, uint32_t number)
{
    const uint32_t big = htobe32(number);
    memcpy(at, &big, sizeof big);
}

static inline void utapi_lmdbenv_put_u64(unsigned char *at, uint64_t number)
{
    const uint64_t big = htobe64(number);
    memcpy(at, &big, sizeof big);
}

static inline uint32_t utapi_lmdbenv_get_u32(const unsigned char *at)
{
    uint32_t big;
    memcpy(&big, at, sizeof big);
    return be32toh(big);
}

static inline uint64_t utapi_lmdbenv_get_u64(const unsigned char *at)
{
    uint64_t big;
    memcpy(&big, at, sizeof big);
    return be64toh(big);
}

#endif
