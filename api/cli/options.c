/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - turns a command's table into what getopt_long wants, and into --help. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 32

/* The tables, in the form of getopt_long. */
typedef struct getopt_tables {
    struct option names[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 1];
} getopt_tables;

void cli_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("utapictl: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

bool cli_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *rest = NULL;
    errno = 0;
    const long long value = strtoll(text, &rest, 10);
    if (errno != 0 || rest == text || *rest != '\0' || value < min || value > max) {
        cli_say("%s: expected a whole number from %lld to %lld, not \"%s\"", option, (long long)min,
                (long long)max, text);
        return false;
    }
    *ret = value;
    return true;
}

static void print_help(const command *self)
{
    printf("Usage: utapictl %s %s\n%s.\n\n", self->name, self->usage, self->summary);
    for (size_t i = 0; i < self->option_count; i++) {
        const cli_option *option = &self->options[i];
        const char letter[] = {(char)option->id, '\0'};
        char usage[48];
        (void)snprintf(usage, sizeof usage, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
                       option->argument != NULL ? option->argument : "");
        printf("  %s%s%s %-28s %s\n", option->id < OPTION_HELP ? "-" : " ",
               option->id < OPTION_HELP ? letter : " ", option->id < OPTION_HELP ? "," : " ", usage,
               option->help);
    }
    printf("\n%s", self->text);
}

static void make_tables(const command *self, getopt_tables *ret)
{
    char *letter = ret->letters;
    *ret = (getopt_tables){0};
    for (size_t i = 0; i < self->option_count && i < MAX_OPTIONS; i++) {
        const cli_option *option = &self->options[i];
        const int argument = option->argument != NULL ? required_argument : no_argument;
        ret->names[i] = (struct option){option->name, argument, NULL, option->id};
        if (option->id >= OPTION_HELP)
            continue;
        *letter++ = (char)option->id;
        if (argument == required_argument)
            *letter++ = ':';
    }
}

/* *ret_taken: whether it was one of CLI_ENDPOINT_OPTIONS. False for a bad value. */
static bool take_endpoint(client_endpoint *endpoint, int id, const char *value, bool *ret_taken)
{
    *ret_taken = true;
    switch (id) {
    case 'h':
        endpoint->host = value;
        return true;
    case 'p':
        return cli_number("--port", value, 1, 65535, &endpoint->port);
    case 'v':
        endpoint->verbose = true;
        return true;
    case OPTION_SSL:
        endpoint->ssl = true;
        return true;
    case OPTION_INSECURE:
        endpoint->insecure = true;
        return true;
    default:
        *ret_taken = false;
        return true;
    }
}

int cli_parse(const command *self, int argc, char **argv, client_endpoint *endpoint, cli_take_fn *take,
              void *ctx, int *ret_rest)
{
    static char name[] = "utapictl"; /* for the messages of getopt_long */
    getopt_tables tables;
    make_tables(self, &tables);
    argv[0] = name;
    for (int id; (id = getopt_long(argc, argv, tables.letters, tables.names, NULL)) != -1;) {
        bool is_taken;
        if (id == OPTION_HELP) {
            print_help(self);
            return EXIT_DONE;
        }
        if (id == '?') {
            cli_say("try utapictl %s --help", self->name);
            return EXIT_USAGE;
        }
        if (!take_endpoint(endpoint, id, optarg, &is_taken))
            return EXIT_USAGE;
        if (!is_taken && !take(ctx, id, optarg))
            return EXIT_USAGE;
    }
    *ret_rest = optind;
    return EXIT_NONE;
}
