/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto.c - OpenSSL 3 behind crypto.h.
 *
 * HMAC(), SHA256() and EVP_MAC_fetch() look their algorithm up at every call, which costs two thirds of
 * the time. So a thread fetches once, keeps one digest and one HMAC context, and re-keys it.
 */
#include "auth/crypto.h"

#include "utapi/codec.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct thread_context {
    EVP_MD_CTX *digest;
    EVP_MAC_CTX *hmac;
} thread_context;

static pthread_once_t context_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;
static bool context_key_made;

static void free_context(void *memory)
{
    thread_context *context = memory;
    EVP_MD_CTX_free(context->digest);
    EVP_MAC_CTX_free(context->hmac);
    free(context);
}

static void make_context_key(void)
{
    context_key_made = pthread_key_create(&context_key, free_context) == 0;
}

static EVP_MAC_CTX *new_hmac(void)
{
    char digest_name[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *hmac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac); /* the context holds a reference of its own */
    if (hmac != NULL && EVP_MAC_CTX_set_params(hmac, params) != 1) {
        EVP_MAC_CTX_free(hmac);
        return NULL;
    }
    return hmac;
}

static thread_context *new_context(void)
{
    thread_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        return NULL;
    context->digest = EVP_MD_CTX_new();
    context->hmac = new_hmac();
    if (context->digest == NULL || context->hmac == NULL ||
        EVP_DigestInit_ex(context->digest, EVP_sha256(), NULL) != 1 ||
        pthread_setspecific(context_key, context) != 0) {
        free_context(context);
        return NULL;
    }
    return context;
}

/* This thread's contexts; NULL if out of memory. */
static thread_context *thread_context_get(void)
{
    if (pthread_once(&context_key_once, make_context_key) != 0 || !context_key_made)
        return NULL;
    thread_context *context = pthread_getspecific(context_key);
    return context != NULL ? context : new_context();
}

bool crypto_sha256(utapi_string data, unsigned char ret[CRYPTO_HASH_BYTES])
{
    const thread_context *context = thread_context_get();
    return context != NULL && EVP_DigestInit_ex(context->digest, NULL, NULL) == 1 &&
           EVP_DigestUpdate(context->digest, data.data, data.size) == 1 &&
           EVP_DigestFinal_ex(context->digest, ret, NULL) == 1;
}

bool crypto_sha256_hex(utapi_string data, char ret[CRYPTO_HEX_BYTES + 1])
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    if (!crypto_sha256(data, hash))
        return false;
    crypto_hex(hash, ret);
    return true;
}

bool crypto_hmac(const void *key, size_t key_bytes, utapi_string data, unsigned char ret[CRYPTO_HASH_BYTES])
{
    const thread_context *context = thread_context_get();
    size_t size = 0;
    return context != NULL && EVP_MAC_init(context->hmac, key, key_bytes, NULL) == 1 &&
           EVP_MAC_update(context->hmac, (const unsigned char *)data.data, data.size) == 1 &&
           EVP_MAC_final(context->hmac, ret, &size, CRYPTO_HASH_BYTES) == 1;
}

void crypto_hex(const unsigned char hash[CRYPTO_HASH_BYTES], char ret[CRYPTO_HEX_BYTES + 1])
{
    *utapi_hex_put(ret, hash, CRYPTO_HASH_BYTES) = '\0';
}

bool crypto_equal(const void *left, const void *right, size_t bytes)
{
    return CRYPTO_memcmp(left, right, bytes) == 0;
}

void crypto_wipe(void *memory, size_t bytes)
{
    OPENSSL_cleanse(memory, bytes);
}
