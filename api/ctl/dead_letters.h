/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dead_letters.h - what `utapictl dead-letters` does, and `utapictl journal` by older words. Each gives an exit code.
 */
#ifndef CTL_DEAD_LETTERS_H
#define CTL_DEAD_LETTERS_H

#include "ctl/client.h"

/** A table of the letters. */
int dead_letters_show(const client_endpoint *to);

/**
 * Prints letters, each as JSON on a line of its own, and then has the server drop them.
 *
 * @param list   the path that lists them: what is printed is what it shows
 * @param ids    NULL: all that are listed, until there are none
 */
int dead_letters_acknowledge(const client_endpoint *to, const char *list, char *const *ids, int count);

#endif
