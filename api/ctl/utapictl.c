/* SPDX-License-Identifier: Apache-2.0 */
/* utapictl.c - the operator's tool: finds the command in a table, and lets it run. */
#include "ctl/completion.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const ctl_command completion_command;

/* In the order in which help lists them. */
static const ctl_command *const commands[] = {&push_command,
                                              &list_command,
                                              &dead_letters_command,
                                              &journal_command,
                                              &adjust_command,
                                              &expire_command,
                                              &audit_command,
                                              &migrate_command,
                                              &check_command,
                                              &completion_command,
                                              NULL};

static int run_completion(int count, char **arguments)
{
    if (count != 1 || !completion_print(arguments[0], commands)) {
        ctl_say("completion needs a shell: bash, zsh or fish");
        return EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static const ctl_command completion_command = {
    .name = "completion",
    .summary = "Prints a script that completes what is typed, for a shell",
    .arguments = "SHELL",
    .text =
        "SHELL is bash, zsh or fish. For the shell that runs: source <(utapictl completion bash), the same with\n"
        "zsh, or utapictl completion fish | source.\n",
    .run = run_completion,
};

static int print_help(void)
{
    puts("Usage: utapictl COMMAND [OPTION]...\n"
         "Talks to a utapid, the meter of S3-compatible storage.\n");
    for (size_t i = 0; commands[i] != NULL; i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n  --help       print this, or with a command what it takes\n"
         "  --version    print the version\n\n"
         "Exit codes: 0 well, 1 failed, 2 usage, 3 it answered and is not well, 4 refused, 5 not reachable,\n"
         "130 interrupted.\n"
         "See utapictl(1).");
    return EXIT_DONE;
}

static int print_version(void)
{
    puts("utapictl " UTAPI_VERSION);
    return EXIT_DONE;
}

/* A standard stream that is closed would be the next file's number: what is printed would be sent to the server. */
static void streams_hold(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open(fd == STDIN_FILENO ? "/dev/null" : "/dev/full", O_RDWR);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    streams_hold();
    (void)signal(SIGPIPE, SIG_IGN);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return print_help();
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return print_version();
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return ctl_command_run(commands[i], argc - 1, argv + 1);
    }
    if (*name == '\0')
        ctl_say("expected a command; try utapictl --help");
    else
        ctl_say("there is no command \"%s\"; try utapictl --help", name);
    return EXIT_USAGE;
}
