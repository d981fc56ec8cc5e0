/* SPDX-License-Identifier: Apache-2.0 */
/* utapid_options.c - flags and --help from the table of keys: a key with a flag is an option of getopt_long,
 * whose value is the key's number plus FIRST_KEY (beyond every character that getopt_long returns). */
#include "daemon/utapid_options.h"

#include "config/keys.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPTION_CONFIG = 1, OPTION_CHECK, OPTION_PRINT, OPTION_HELP, OPTION_VERSION, FIRST_KEY = 256 };

static const struct {
    struct option option;
    const char *usage;
    const char *help;
} own[] = {
    {{"config", required_argument, NULL, OPTION_CONFIG}, "config FILE", "read settings from FILE"},
    {{"check", no_argument, NULL, OPTION_CHECK}, "check", "say whether the settings are valid, and exit"},
    {{"print-config", no_argument, NULL, OPTION_PRINT},
     "print-config",
     "print every setting and where it comes from, and exit"},
    {{"help", no_argument, NULL, OPTION_HELP}, "help", "print this, and exit"},
    {{"version", no_argument, NULL, OPTION_VERSION}, "version", "print the version, and exit"},
};

#define OWN_COUNT (sizeof own / sizeof *own)

/* ---- help --------------------------------------------------------------------------------- */

static void print_key_flag(const config_key *key)
{
    char usage[48];
    (void)snprintf(usage, sizeof usage, "%s%s%s", key->flag, key->argument != NULL ? " " : "",
                   key->argument != NULL ? key->argument : "");
    printf("  --%-18s %s = %s: %s\n", usage, key->path,
           key->argument != NULL ? key->argument : key->flag_value, key->help);
}

static void print_help(void)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    puts("Usage: utapid [OPTION]...\n"
         "Meters the use of S3-compatible storage: accepts events, answers signed ListMetrics.\n");
    for (size_t i = 0; i < OWN_COUNT; i++)
        printf("  --%-18s %s\n", own[i].usage, own[i].help);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].flag != NULL)
            print_key_flag(&keys[i]);
    }
    puts(
        "\nA flag beats the environment, which beats the file (--config, or UTAPI_CONFIG_FILE), which beats the\n"
        "default. Every key of the file, its variable, and its default:\n");
    for (size_t i = 0; i < count; i++)
        printf("  %-25s %-33s %s\n      %s\n", keys[i].path, keys[i].environment, keys[i].fallback,
               keys[i].help);
    puts("\nSee utapid(8) and docs/configuration.md.");
}

/* ---- parsing ------------------------------------------------------------------------------ */

static void make_table(struct option *ret)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    assert(count <= UTAPID_MAX_KEYS);
    for (size_t i = 0; i < OWN_COUNT; i++)
        *ret++ = own[i].option;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].flag != NULL)
            *ret++ = (struct option){keys[i].flag, keys[i].argument != NULL ? required_argument : no_argument,
                                     NULL, FIRST_KEY + (int)i};
    }
    *ret = (struct option){0};
}

static int answer(int option)
{
    if (option == OPTION_HELP || option == 'h')
        print_help();
    else if (option == OPTION_VERSION || option == 'V')
        puts("utapid " UTAPI_VERSION);
    else {
        fputs("utapid: try utapid --help\n", stderr); /* getopt_long has said what is wrong */
        return EXIT_USAGE;
    }
    return EXIT_SUCCESS;
}

int utapid_options_parse(int argc, char **argv, utapid_options *ret)
{
    static char name[] = "utapid"; /* for the messages of getopt_long */
    struct option table[OWN_COUNT + UTAPID_MAX_KEYS + 1];
    size_t count;
    const config_key *keys = config_keys(&count);
    make_table(table);
    *ret = (utapid_options){0};
    if (argc > 0)
        argv[0] = name;
    for (int option; (option = getopt_long(argc, argv, "hV", table, NULL)) != -1;) {
        if (option >= FIRST_KEY)
            ret->flags[option - FIRST_KEY] = optarg != NULL ? optarg : keys[option - FIRST_KEY].flag_value;
        else if (option == OPTION_CONFIG)
            ret->file = optarg;
        else if (option == OPTION_CHECK)
            ret->check = true;
        else if (option == OPTION_PRINT)
            ret->print = true;
        else
            return answer(option);
    }
    if (optind >= argc)
        return -1;
    fprintf(stderr, "utapid: unexpected argument \"%s\"\n", argv[optind]);
    return answer('?');
}
