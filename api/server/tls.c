/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c - a list of all certificates that were ever loaded, the newest first. */
#include "server/tls.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"
#include "utapi/text.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { CHAIN_MAX = 16, FILE_COUNT = 4, FILE_BYTES_MAX = 1 << 20, FILE_BYTES_EXPECTED = 32768 };

/* A certificate with its chain, and its key. */
typedef struct loaded {
    struct loaded *older;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_size;
    gnutls_privkey_t key;
} loaded;

static _Atomic(loaded *) newest;
static _Atomic int64_t expires_s;
static utapi_text client_ca;                  /* with a NUL */
static struct stat seen[FILE_COUNT], trusted; /* the latter: client_ca as it was read */

/* ---- files ----------------------------------------------------------------------------------- */

static const char *const key_names[FILE_COUNT] = {"certFilePaths.key", "certFilePaths.cert",
                                                  "certFilePaths.ca", "tls.clientCA"};

static void paths_of(const tls_files *files, const char *ret[static FILE_COUNT])
{
    ret[0] = files->key;
    ret[1] = files->cert;
    ret[2] = files->chain;
    ret[3] = files->client_ca;
}

/* Adds a whole file to a text. */
static utapi_status file_read(const char *name, const char *path, utapi_text *ret, utapi_error *err)
{
    char piece[4096];
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    if (path == NULL)
        return utapi_fail(err, UTAPI_INVALID, "%s: is not set", name);
    if (file == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s: %s", name, path, strerror(errno));
    (void)setvbuf(file, NULL, _IONBF, 0); /* no copy of a key but ours */
    (void)utapi_text_reserve(ret, FILE_BYTES_EXPECTED);
    for (size_t size; (size = fread(piece, 1, sizeof piece, file)) > 0 && ret->size < FILE_BYTES_MAX;)
        utapi_text_add(ret, piece, size);
    explicit_bzero(piece, sizeof piece);
    const bool is_read = ferror(file) == 0;
    const int reason = errno;
    (void)fclose(file);
    if (!is_read)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s: %s", name, path, strerror(reason));
    return ret->failed ? utapi_fail(err, UTAPI_NO_MEMORY, "%s", name) : UTAPI_OK;
}

static void secret_done(utapi_text *text)
{
    if (text->data != NULL)
        explicit_bzero(text->data, text->capacity);
    utapi_text_done(text);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void files_look(const tls_files *files, struct stat ret[static FILE_COUNT])
{
    const char *paths[FILE_COUNT];
    paths_of(files, paths);
    memset(ret, 0, FILE_COUNT * sizeof *ret);
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (paths[i] != NULL && stat(paths[i], &ret[i]) != 0)
            memset(&ret[i], 0, sizeof ret[i]);
}

bool tls_client_ca_is_stale(const tls_files *files)
{
    struct stat now[FILE_COUNT];
    files_look(files, now);
    return files->client_ca != NULL && !is_same_file(&now[FILE_COUNT - 1], &trusted);
}

bool tls_changed(const tls_files *files)
{
    struct stat now[FILE_COUNT];
    files_look(files, now);
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (!is_same_file(&now[i], &seen[i]))
            return true;
    return false;
}

/* ---- what is in them --------------------------------------------------------------------------- */

static void loaded_free(loaded *self)
{
    for (unsigned i = 0; i < self->chain_size; i++)
        gnutls_pcert_deinit(&self->chain[i]);
    if (self->key != NULL)
        gnutls_privkey_deinit(self->key);
    free(self);
}

static gnutls_datum_t datum_of(const utapi_text *text)
{
    return (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->size};
}

/* "2026-11-30T09:15:00Z" */
static void time_write(time_t time, char *ret, size_t size)
{
    struct tm date;
    if (gmtime_r(&time, &date) == NULL || strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &date) == 0)
        *ret = '\0';
}

/* Whether the first certificate of a file is valid now; when it ends. */
static utapi_status validity_check(const char *path, const utapi_text *cert, int64_t *ret, utapi_error *err)
{
    gnutls_x509_crt_t first = NULL;
    char date[32];
    const gnutls_datum_t pem = datum_of(cert);
    const time_t now = (time_t)(utapi_wall_ms() / 1000);
    int rc = gnutls_x509_crt_init(&first);
    if (rc == 0)
        rc = gnutls_x509_crt_import(first, &pem, GNUTLS_X509_FMT_PEM);
    const time_t from = rc == 0 ? gnutls_x509_crt_get_activation_time(first) : 0;
    const time_t until = rc == 0 ? gnutls_x509_crt_get_expiration_time(first) : 0;
    if (first != NULL)
        gnutls_x509_crt_deinit(first);
    *ret = until;
    if (rc != 0)
        return utapi_fail(err, UTAPI_INVALID, "certFilePaths.cert: %s: holds no certificate: %s", path,
                          gnutls_strerror(rc));
    time_write(now < from ? from : until, date, sizeof date);
    if (now < from)
        return utapi_fail(err, UTAPI_INVALID, "certFilePaths.cert: %s: is not valid before %s", path, date);
    return now <= until ? UTAPI_OK
                        : utapi_fail(err, UTAPI_INVALID, "certFilePaths.cert: %s: expired at %s", path, date);
}

/* Whether key and certificate belong together. */
static utapi_status pair_check(const tls_files *files, const utapi_text *cert, const utapi_text *key,
                               utapi_error *err)
{
    gnutls_certificate_credentials_t tried = NULL;
    const gnutls_datum_t cert_pem = datum_of(cert), key_pem = datum_of(key);
    int rc = gnutls_certificate_allocate_credentials(&tried);
    if (rc == 0)
        rc = gnutls_certificate_set_x509_key_mem(tried, &cert_pem, &key_pem, GNUTLS_X509_FMT_PEM);
    if (tried != NULL)
        gnutls_certificate_free_credentials(tried);
    return rc >= 0 ? UTAPI_OK
                   : utapi_fail(err, UTAPI_INVALID, "certFilePaths.key and certFilePaths.cert: %s: %s, %s",
                                gnutls_strerror(rc), files->key, files->cert);
}

static utapi_status loaded_new(const tls_files *files, const utapi_text *chain, const utapi_text *key,
                               loaded **ret, utapi_error *err)
{
    loaded *self = calloc(1, sizeof *self);
    const gnutls_datum_t chain_pem = datum_of(chain), key_pem = datum_of(key);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a certificate");
    self->chain_size = CHAIN_MAX;
    int rc =
        gnutls_pcert_list_import_x509_raw(self->chain, &self->chain_size, &chain_pem, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0)
        self->chain_size = 0;
    if (rc >= 0)
        rc = gnutls_privkey_init(&self->key);
    if (rc >= 0)
        rc = gnutls_privkey_import_x509_raw(self->key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc >= 0) {
        *ret = self;
        return UTAPI_OK;
    }
    loaded_free(self);
    return utapi_fail(err, UTAPI_INVALID, "certFilePaths: %s, %s: %s", files->cert, files->key,
                      gnutls_strerror(rc));
}

/* Whoever signs clients' certificates is read once: libmicrohttpd takes it when a server starts. */
static utapi_status client_ca_load(const char *path, utapi_error *err)
{
    gnutls_x509_trust_list_t list = NULL;
    if (path == NULL || client_ca.size > 0)
        return UTAPI_OK;
    trusted = seen[FILE_COUNT - 1];
    utapi_status status = file_read(key_names[3], path, &client_ca, err);
    if (status != UTAPI_OK)
        return status;
    const gnutls_datum_t pem = datum_of(&client_ca);
    int rc = gnutls_x509_trust_list_init(&list, 0);
    if (rc == 0)
        rc = gnutls_x509_trust_list_add_trust_mem(list, &pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    if (list != NULL)
        gnutls_x509_trust_list_deinit(list, 1);
    utapi_text_add_char(&client_ca, '\0');
    return rc > 0 ? UTAPI_OK : utapi_fail(err, UTAPI_INVALID, "tls.clientCA: %s: holds no certificate", path);
}

utapi_status tls_load(const tls_files *files, utapi_error *err)
{
    utapi_text key = {0}, chain = {0};
    loaded *fresh = NULL;
    int64_t until_s = 0;
    files_look(files, seen);
    utapi_status status = file_read(key_names[0], files->key, &key, err);
    if (status == UTAPI_OK)
        status = file_read(key_names[1], files->cert, &chain, err);
    if (status == UTAPI_OK)
        status = validity_check(files->cert, &chain, &until_s, err);
    if (status == UTAPI_OK)
        status = pair_check(files, &chain, &key, err);
    if (status == UTAPI_OK && files->chain != NULL)
        status = file_read(key_names[2], files->chain, &chain, err);
    if (status == UTAPI_OK)
        status = client_ca_load(files->client_ca, err);
    if (status == UTAPI_OK)
        status = loaded_new(files, &chain, &key, &fresh, err);
    secret_done(&key);
    utapi_text_done(&chain);
    if (status != UTAPI_OK)
        return status;
    assert(fresh != NULL);
    fresh->older = newest;
    newest = fresh;
    expires_s = until_s;
    return UTAPI_OK;
}

/* ---- for servers ------------------------------------------------------------------------------- */

int64_t tls_expires_s(void)
{
    return expires_s;
}

const char *tls_client_ca(void)
{
    return client_ca.size > 0 ? client_ca.data : "";
}

bool tls_client_is_known(gnutls_session_t session)
{
    unsigned status = 0;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && status == 0;
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                 const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                 unsigned *ret_size, gnutls_privkey_t *ret_key)
{
    loaded *now = newest;
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    if (now == NULL)
        return -1;
    *ret_chain = now->chain;
    *ret_size = now->chain_size;
    *ret_key = now->key;
    return 0;
}

void tls_end(void)
{
    for (loaded *one = newest, *older; one != NULL; one = older) {
        older = one->older;
        loaded_free(one);
    }
    newest = NULL;
    expires_s = 0;
    utapi_text_done(&client_ca);
}
