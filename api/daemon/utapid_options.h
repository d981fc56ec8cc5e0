/* SPDX-License-Identifier: Apache-2.0 */
/**
 * utapid_options.h - utapid's command line, made from the table of keys (config/keys.h).
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>

#define UTAPID_MAX_KEYS 128 /* room for every key; checked when parsing starts */

typedef struct utapid_options {
    const char *file;                   /* --config; NULL: not given */
    const char *flags[UTAPID_MAX_KEYS]; /* for config_inputs; borrowed from argv */
    bool check;                         /* --check: look at the settings, and leave */
} utapid_options;

/**
 * Reads the command line. What can be answered at once (--help, --version, a mistake) is answered.
 *
 * @return -1 to go on; otherwise the exit code to leave with
 */
int utapid_options_parse(int argc, char **argv, utapid_options *ret);

#endif
