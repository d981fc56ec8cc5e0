/* SPDX-License-Identifier: Apache-2.0 */
/**
 * announce.h - what a server says when it is up, and when it ends.
 */
#ifndef DAEMON_ANNOUNCE_H
#define DAEMON_ANNOUNCE_H

#include "config/config.h"

/**
 * Prints the line that scripts wait for, and logs what runs: version, storage, address, who may ask, limits. No secret
 * is in it.
 *
 * @param port      that it listens on
 * @param tls_port  that it listens on with TLS beside that one; 0: none
 */
void announce_start(const config *settings, uint16_t port, uint16_t tls_port);

/** Tells what was given and means nothing, each in a sentence: on the terminal, or in the log. */
void announce_ignored(const config *settings, bool on_terminal);

/** @param signal  that ends it */
void announce_stopping(int signal);

/** @param took_ms  since then */
void announce_stopped(int64_t took_ms);

#endif
