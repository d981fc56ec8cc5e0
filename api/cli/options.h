/* SPDX-License-Identifier: Apache-2.0 */
/**
 * options.h - the command lines of utapictl's commands: each is a table, read by one parser and printed by
 * one --help.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Exit codes. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NONE = -1 /* go on */ };

typedef struct cli_option {
    int id;               /* a letter: "-p" means it too; or OPTION_FIRST and up */
    const char *name;     /* without "--" */
    const char *argument; /* what --help calls its value; NULL: it has none */
    const char *help;     /* one line */
} cli_option;

/** Ids of options without a letter; a command's own start at OPTION_FIRST. */
enum { OPTION_HELP = 256, OPTION_SSL, OPTION_INSECURE, OPTION_FIRST };

/** The rows that each command's table has: where the server is. */
#define CLI_ENDPOINT_OPTIONS                                                                        \
    {'h', "host", "HOST", "host of the server (127.0.0.1)"},                                        \
        {'p', "port", "PORT", "port of the server (8100)"}, {OPTION_SSL, "ssl", NULL, "use https"}, \
        {OPTION_INSECURE, "insecure", NULL, "with --ssl: take any certificate"},                    \
        {'v', "verbose", NULL, "print the request and the answer's head to stderr"},                \
    {                                                                                               \
        OPTION_HELP, "help", NULL, "print this, and exit"                                           \
    }

typedef struct command {
    const char *name;
    const char *summary;
    const char *usage; /* what follows "utapictl NAME" */
    const char *text;  /* paragraphs that --help prints after the options */
    const cli_option *options;
    size_t option_count;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; gives the exit code */
} command;

/**
 * Takes one option of a command.
 *
 * @param value  NULL if the option has none
 * @return false, after saying on stderr what is wrong with the value
 */
typedef bool cli_take_fn(void *ctx, int id, const char *value);

/**
 * Reads a command's options. The rows of CLI_ENDPOINT_OPTIONS go to *endpoint, the others to take.
 *
 * @param ret_rest  index in argv of the first argument that is no option
 * @return EXIT_NONE to go on, otherwise the code to leave with
 */
int cli_parse(const command *self, int argc, char **argv, client_endpoint *endpoint, cli_take_fn *take,
              void *ctx, int *ret_rest);

/** Prints "utapictl: ..." on stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Parses a whole number in a range; false, after saying so, if it is none. */
bool cli_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret);

#endif
