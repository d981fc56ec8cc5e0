/* SPDX-License-Identifier: Apache-2.0 */
/* command.c - turns a command's rows into what getopt_long wants, into variables that are filled in, and into
 * --help. */
#include "ctl/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32, USAGE_COLUMNS = 100, NAMES_AT = 256 /* getopt_long: beyond every letter */ };

static const ctl_option help_option = {0, "help", NULL, "print this, and exit", .flag = NULL};

void ctl_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("utapictl: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* ---- help --------------------------------------------------------------------------------- */

/* Prints a word of the usage; goes to a new line where it would not fit. */
static void usage_print(const char *word, int indent, int *column)
{
    const int size = (int)strlen(word);
    if (*column + 1 + size > USAGE_COLUMNS)
        *column = printf("\n%*s", indent, "") - 1;
    *column += printf(" %s", word);
}

/* "[-p PORT]", "{-s TIME | -r}": a row and the choices behind it. Gives the rows that it took. */
static size_t usage_group(const ctl_option *rows, size_t count, char *ret, size_t size)
{
    size_t used = 0, i = 0;
    do {
        const ctl_option *row = &rows[i];
        const char letter[] = {row->letter, '\0'};
        const char *opening = i > 0 ? " | " : row->is_required ? "{" : "[";
        const int added =
            snprintf(ret + used, size - used, "%s%s%s%s%s", opening, *letter != '\0' ? "-" : "--",
                     *letter != '\0' ? letter : row->name, row->argument != NULL ? " " : "",
                     row->argument != NULL ? row->argument : "");
        used = (size_t)added < size - used ? used + (size_t)added : size - 1;
    } while (++i < count && rows[i].is_choice);
    (void)snprintf(ret + used, size - used, "%s", rows[0].is_required ? "}" : "]");
    return i;
}

static void option_print(const ctl_option *row)
{
    char usage[48];
    (void)snprintf(usage, sizeof usage, "--%s%s%s", row->name, row->argument != NULL ? " " : "",
                   row->argument != NULL ? row->argument : "");
    if (row->letter != '\0')
        printf("  -%c, %-28s %s\n", row->letter, usage, row->help);
    else
        printf("      %-28s %s\n", usage, row->help);
}

static void help_print(const ctl_command *self)
{
    const int indent = printf("Usage: utapictl %s", self->name);
    int column = indent;
    for (size_t i = 0; i < self->option_count;) {
        char group[160];
        if (self->options[i].is_hidden) {
            i++;
            continue;
        }
        i += usage_group(&self->options[i], self->option_count - i, group, sizeof group);
        usage_print(group, indent, &column);
    }
    if (self->arguments != NULL)
        usage_print(self->arguments, indent, &column);
    printf("\n%s.\n\n", self->summary);
    for (size_t i = 0; i < self->option_count; i++)
        if (!self->options[i].is_hidden)
            option_print(&self->options[i]);
    option_print(&help_option);
    printf("\n%s", self->text);
}

/* ---- reading ------------------------------------------------------------------------------ */

bool ctl_number_read(const ctl_option *row, const char *text)
{
    char *rest = NULL;
    errno = 0;
    const long long value = strtoll(text, &rest, 10);
    if (errno != 0 || rest == text || *rest != '\0' || value < row->min || value > row->max) {
        ctl_say("--%s: expected a whole number from %lld to %lld, not \"%s\"", row->name, (long long)row->min,
                (long long)row->max, text);
        return false;
    }
    *row->number = value;
    return true;
}

/* A copy. What was given is overwritten: `value` stands in argv, where ps reads it. */
static const char *secret_take(char *value)
{
    char *copy = strdup(value);
    explicit_bzero(value, strlen(value));
    return copy;
}

static bool option_bind(const ctl_option *row, char *value)
{
    if (row->take != NULL)
        return row->take(row, value);
    if (row->number != NULL)
        return ctl_number_read(row, value);
    if (row->text != NULL)
        *row->text = row->is_secret ? secret_take(value) : value;
    else
        *row->flag = true;
    return true;
}

/* The row that getopt_long means: by its place among the names, or by its letter. */
static const ctl_option *row_find(const ctl_command *self, int id)
{
    size_t i = 0;
    if (id >= NAMES_AT)
        return (size_t)(id - NAMES_AT) < self->option_count ? &self->options[id - NAMES_AT] : &help_option;
    while (self->options[i].letter != id)
        i++;
    return &self->options[i];
}

int ctl_command_run(const ctl_command *self, int argc, char **argv)
{
    static char name[] = "utapictl"; /* for the messages of getopt_long */
    struct option names[OPTIONS_MAX + 2] = {0};
    char letters[2 * OPTIONS_MAX + 1] = "", *letter = letters;
    for (size_t i = 0; i <= self->option_count && i <= OPTIONS_MAX; i++) {
        const ctl_option *row = i < self->option_count ? &self->options[i] : &help_option;
        const int has_argument = row->argument != NULL ? required_argument : no_argument;
        names[i] = (struct option){row->name, has_argument, NULL, NAMES_AT + (int)i};
        if (row->letter == '\0')
            continue;
        *letter++ = row->letter;
        if (has_argument == required_argument)
            *letter++ = ':';
    }
    argv[0] = name;
    if (argc == 2 && strcmp(argv[1], "-h") == 0) { /* elsewhere it is the host */
        help_print(self);
        return EXIT_DONE;
    }
    for (int id; (id = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        if (id == '?') {
            ctl_say("try utapictl %s --help", self->name);
            return EXIT_USAGE;
        }
        const ctl_option *row = row_find(self, id);
        if (row == &help_option) {
            help_print(self);
            return EXIT_DONE;
        }
        if (!option_bind(row, optarg))
            return EXIT_USAGE;
    }
    if (self->arguments == NULL && optind < argc) {
        ctl_say("%s takes no argument", self->name);
        return EXIT_USAGE;
    }
    return self->run(argc - optind, argv + optind);
}
