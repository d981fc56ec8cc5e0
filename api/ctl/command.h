/* SPDX-License-Identifier: Apache-2.0 */
/**
 * command.h - the commands of utapictl, and the tables of options that they are made of.
 *
 * A row of options names a variable of the command: parsing fills it in before the command runs. --help prints the same
 * rows, and docs/man/utapictl.1 has to agree with them (tests/api/ctl/test_manual.py).
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Exit codes (utapictl(1)). */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_UNWELL = 3,      /* the server answered and is not well, or has accepted what it has not done yet */
    EXIT_REFUSED = 4,     /* the server refused the request: 4xx */
    EXIT_UNREACHABLE = 5, /* no answer came */
    EXIT_INTERRUPTED = 130
};

typedef struct ctl_option ctl_option;

/** An option. What it is bound to holds the default. */
struct ctl_option {
    char letter;          /* "-p" means it too; 0: there is none */
    const char *name;     /* without "--" */
    const char *argument; /* what the usage calls its value; NULL for a flag */
    const char *help;     /* one line */

    /* One of these is set: CTL_FLAG() and its like. */
    bool *flag; /* becomes true */
    const char **text;
    int64_t *number; /* a whole number from min to max */
    int64_t min, max;
    bool (*take)(const ctl_option *self, const char *value); /* false, after saying on stderr what is wrong */

    /* In the usage alone: the command checks it itself. */
    bool is_required;
    bool is_choice; /* one of this and the row before may be given */
    bool is_hidden; /* an older word: it works, and the usage does not tell of it */

    bool is_secret; /* a text that is taken out of the process's arguments, which others can read */
};

#define CTL_FLAG(variable)             .flag = &(variable)
#define CTL_TEXT(variable)             .text = &(variable)
#define CTL_NUMBER(variable, low, top) .number = &(variable), .min = (low), .max = (top)
#define CTL_TAKE(function)             .take = (function)

typedef struct ctl_command {
    const char *name;
    const char *summary;
    const char *arguments; /* what the usage calls those that are no options; NULL: it takes none */
    const char *text;      /* paragraphs that --help prints after the options */
    const ctl_option *options;
    size_t option_count;
    int (*run)(int count, char **arguments); /* gives the exit code */
} ctl_command;

extern const ctl_command push_command;
extern const ctl_command list_command;
extern const ctl_command dead_letters_command;
extern const ctl_command journal_command;
extern const ctl_command migrate_command;
extern const ctl_command check_command;
extern const ctl_command adjust_command;
extern const ctl_command expire_command;
extern const ctl_command audit_command;

/**
 * Reads a command's line and runs it.
 *
 * @param argv  of argc words; the first is the command's name
 * @return the exit code
 */
int ctl_command_run(const ctl_command *self, int argc, char **argv);

/** Reads a number into what a row is bound to; false, after saying on stderr what is wrong. */
bool ctl_number_read(const ctl_option *row, const char *text);

/** Prints "utapictl: ..." on stderr. */
void ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
