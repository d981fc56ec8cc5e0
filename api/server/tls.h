/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tls.h - the server's certificate and key, read again when their files change.
 *
 * GnuTLS is what libmicrohttpd speaks TLS with. A handshake takes what is newest; what came before is kept until the
 * end, for a handshake may still be using it. There is one certificate a process, and a connection takes it whichever
 * server it came to.
 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "utapi/status.h"

#include <gnutls/abstract.h>
#include <stdbool.h>

/** Paths of PEM files. */
typedef struct tls_files {
    const char *key, *cert;
    const char *chain; /* certificates between that one and a root; NULL: none, or they are in cert */
    const char
        *client_ca; /* who signs clients' certificates, which each client then needs; NULL: it needs none */
} tls_files;

/** TLS 1.2 and 1.3, with forward secrecy and authenticated ciphers, in the server's order. */
#define TLS_PRIORITIES \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-128-CBC:-AES-256-CBC:%SERVER_PRECEDENCE"

/**
 * Reads certificate and key, and has handshakes take them. Before any server starts, and whenever files may have
 * changed; from one thread.
 *
 * @param files  borrowed until tls_end()
 * @return UTAPI_INVALID, UTAPI_UNAVAILABLE with a sentence that names the key of the configuration and the file: what
 *         cannot be read, does not belong together, or is not valid now. What was there before then stays
 */
UTAPI_MUST_USE utapi_status tls_load(const tls_files *files, utapi_error *err);

/** Whether one of the files is another than when it was read, or tried to be. */
bool tls_changed(const tls_files *files);

/** Whether client_ca is another file than the one that is trusted, which is that of the start. */
bool tls_client_ca_is_stale(const tls_files *files);

/** When the certificate ends, in seconds since the epoch; 0: there is none. From any thread. */
int64_t tls_expires_s(void);

/** The PEM of client_ca, which libmicrohttpd wants as text; "": none. Until tls_end(). */
const char *tls_client_ca(void);

/** Whether the client of a session has shown a certificate that client_ca signed and that is valid now. */
bool tls_client_is_known(gnutls_session_t session);

/** What libmicrohttpd calls in a handshake. */
gnutls_certificate_retrieve_function2 tls_retrieve;

/** Wipes and frees all of it, once no server runs. */
void tls_end(void);

#endif
