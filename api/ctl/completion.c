/* SPDX-License-Identifier: Apache-2.0 */
/* completion.c - scripts for shells, made of the rows that --help prints. */
#include "ctl/completion.h"

#include <stdio.h>
#include <string.h>

static const ctl_option help_row = {.name = "help", .help = "print this, and exit"};

/* The rows of a command that its usage tells of, one after the other; NULL: that was the last. --help is one. */
static const ctl_option *row_next(const ctl_command *command, size_t *at)
{
    while (*at < command->option_count && command->options[*at].is_hidden)
        ++*at;
    const size_t i = (*at)++;
    return i < command->option_count ? &command->options[i] : i == command->option_count ? &help_row : NULL;
}

/* Prints a text within single quotes, with a backslash before what is special there. */
static void quoted_print(const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr(special, *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_options(const ctl_command *command, bool with_argument)
{
    const char *separator = "";
    const ctl_option *row;
    for (size_t at = 0; (row = row_next(command, &at)) != NULL;) {
        if (with_argument && row->argument == NULL)
            continue;
        printf("%s--%s", separator, row->name);
        separator = with_argument ? " | " : " ";
        if (with_argument && row->letter != '\0')
            printf("%s-%c", separator, row->letter);
    }
}

static void bash_print(const ctl_command *const *commands)
{
    puts("# bash completion of utapictl\n"
         "_utapictl() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} options=\n"
         "    COMPREPLY=()\n"
         "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("        options='", stdout);
    for (size_t i = 0; commands[i] != NULL; i++)
        printf("%s ", commands[i]->name);
    puts("--help --version'\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
         "        return\n"
         "    fi\n"
         "    case ${COMP_WORDS[1]} in");
    for (size_t i = 0; commands[i] != NULL; i++) {
        printf("    %s)\n        options='", commands[i]->name);
        bash_options(commands[i], false);
        fputs("'\n        case ${COMP_WORDS[COMP_CWORD - 1]} in ", stdout);
        bash_options(commands[i], true);
        puts(commands[i]->option_count > 0 ? ") options= ;; esac\n        ;;" : "'') ;; esac\n        ;;");
    }
    puts("    esac\n"
         "    if [ -n \"$options\" ] && [ \"${word:0:1}\" = - ]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
         "    else\n"
         "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
         "    fi\n"
         "}\n"
         "complete -o filenames -F _utapictl utapictl");
}

/* ---- zsh ------------------------------------------------------------------------------------- */

static void zsh_row(const ctl_option *row)
{
    fputs(" \\\n            ", stdout);
    if (row->letter != '\0')
        printf("'(-%c --%s)'{-%c,--%s}'", row->letter, row->name, row->letter, row->name);
    else
        printf("'--%s", row->name);
    putchar('[');
    quoted_print(row->help, "[]:\\");
    putchar(']');
    if (row->argument != NULL) {
        putchar(':');
        quoted_print(row->argument, "[]:\\");
        fputs(":_files", stdout);
    }
    putchar('\'');
}

static void zsh_print(const ctl_command *const *commands)
{
    puts("#compdef utapictl\n"
         "_utapictl() {\n"
         "    local -a commands\n"
         "    commands=(");
    for (size_t i = 0; commands[i] != NULL; i++) {
        printf("        '%s:", commands[i]->name);
        quoted_print(commands[i]->summary, ":\\");
        puts("'");
    }
    puts("    )\n"
         "    if (( CURRENT == 2 )); then\n"
         "        _describe command commands\n"
         "        return\n"
         "    fi\n"
         "    case $words[2] in");
    for (size_t i = 0; commands[i] != NULL; i++) {
        const ctl_option *row;
        printf("    %s)\n        shift words; (( CURRENT-- ))\n        _arguments", commands[i]->name);
        for (size_t at = 0; (row = row_next(commands[i], &at)) != NULL;)
            zsh_row(row);
        puts(commands[i]->arguments != NULL ? " '*:file:_files'\n        ;;" : "\n        ;;");
    }
    puts("    esac\n"
         "}\n"
         "compdef _utapictl utapictl");
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_print(const ctl_command *const *commands)
{
    puts("# fish completion of utapictl");
    for (size_t i = 0; commands[i] != NULL; i++) {
        const ctl_command *command = commands[i];
        const ctl_option *row;
        printf("complete -c utapictl -f -n __fish_use_subcommand -a %s -d '", command->name);
        quoted_print(command->summary, "\\");
        puts("'");
        for (size_t at = 0; (row = row_next(command, &at)) != NULL;) {
            printf("complete -c utapictl -n '__fish_seen_subcommand_from %s' -l %s", command->name,
                   row->name);
            if (row->letter != '\0')
                printf(" -s %c", row->letter);
            fputs(row->argument != NULL ? " -r -d '" : " -d '", stdout);
            quoted_print(row->help, "\\");
            puts("'");
        }
    }
}

/* ---- all of them ------------------------------------------------------------------------------ */

bool completion_print(const char *shell, const ctl_command *const *commands)
{
    static const struct {
        const char *name;
        void (*print)(const ctl_command *const *commands);
    } shells[] = {{"bash", bash_print}, {"zsh", zsh_print}, {"fish", fish_print}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print(commands);
            return true;
        }
    return false;
}
