/* SPDX-License-Identifier: Apache-2.0 */
/**
 * serve.h - utapi-bench as a server to compare with: `utapi-bench serve KIND`, a child of a run.
 *
 * Kinds:
 *   empty   libmicrohttpd and a handler that throws the body away and answers 200
 *   verify  the same, but the signature is verified, and the answer has a body of a given size
 *   noop    utapid's own server on a storage that stores nothing
 *
 * The first two are driven as utapid drives libmicrohttpd: a daemon with epoll for each thread, on one socket.
 */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

/**
 * Serves on a free port of 127.0.0.1 until SIGTERM; prints "listening on http://127.0.0.1:PORT".
 *
 * @param arguments  KIND, then the size of the body and the file of identities (authdata.json)
 * @return the exit status
 */
int serve_main(int count, char **arguments);

#endif
