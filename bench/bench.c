/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - the main of utapi-bench: the command line. */
#include "backends/registry.h"
#include "compare.h"
#include "interrupt.h"
#include "options.h"
#include "plot.h"
#include "result.h"
#include "run.h"
#include "serve.h"
#include "target_storage.h"
#include "workload.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---- the command line --------------------------------------------------------------------- */

typedef enum option_kind { TEXT, COUNT, NUMBER, SETS, CLEARS, LIST } option_kind;

/* Where an option's value goes: a member of bench_options. */
#define MEMBER(name) offsetof(bench_options, name)

static const struct option_row {
    const char *name;
    option_kind kind;
    size_t member;
    double least, most; /* of numbers */
    const char *argument, *help;
} rows[] = {
    {"backend", LIST, 0, 0, 0, "NAMES",
     "storages, with commas between them; journal+NAME has a journal before it (lmdb)"},
    {"transport", LIST, 0, 0, 0, "NAMES", "process, http or both (process,http; redis: process)"},
    {"short", SETS, MEMBER(is_short), 0, 0, NULL,
     "the short set of workloads, 0.6 s each: two or three minutes"},
    {"repeat", COUNT, MEMBER(repeat), 1, BENCH_REPEATS_MAX, "N", "repetitions of each line (3)"},
    {"duration", NUMBER, MEMBER(duration_s), 0.01, 86400, "S", "seconds of each repetition (2)"},
    {"rate", NUMBER, MEMBER(rate), 0, 1e9, "N", "open loop: so many requests a second; 0: closed loop (0)"},
    {"load", NUMBER, MEMBER(load), 0, 1000, "N",
     "open loop: so many percent of the rate that a closed loop has just reached; 0: closed loop (0)"},
    {"scale", NUMBER, MEMBER(scale), 1e-6, 1000, "X", "factor of the numbers of buckets and intervals (1)"},
    {"seed", COUNT, MEMBER(seed), 0, 1e15, "N", "what events are drawn by (1)"},
    {"no-floors", CLEARS, MEMBER(floors), 0, 0, NULL, "measure no floors"},
    {"json", TEXT, MEMBER(json), 0, 0, "FILE",
     "write the figures to FILE; -: to stdout, and the table to stderr"},
    {"plot", TEXT, MEMBER(plot), 0, 0, "DIR", "draw them into DIR, with gnuplot"},
    {"data", TEXT, MEMBER(data), 0, 0, "DIR",
     "store below DIR ($TMPDIR, or /tmp); all of it is removed afterwards"},
    {"redis", TEXT, MEMBER(redis), 0, 0, "URI",
     "use this Redis, which keeps what is stored (one of our own)"},
    {"url", TEXT, MEMBER(url), 0, 0, "URL", "measure a server that runs already; it keeps what is stored"},
    {"utapid", TEXT, MEMBER(utapid), 0, 0, "PATH", "the server to start (beside this program)"},
    {"access-key", TEXT, MEMBER(access_key), 0, 0, "KEY", "who signs questions (accessKey1)"},
    {"secret-key", TEXT, MEMBER(secret_key), 0, 0, "KEY", "and with what (verySecretKey1)"},
};

enum { ROWS = sizeof rows / sizeof *rows, OPTION_BASE = 256 };

/* What a shell answers for a program that a signal ended is this plus its number. */
enum { SIGNAL_STATUS = 128 };

static void usage(FILE *out)
{
    fprintf(out, "usage: utapi-bench [OPTION]... [WORKLOAD]...\n"
                 "       utapi-bench compare [--fail-on-regression] A.json B.json\n"
                 "       utapi-bench plot FILE.json DIR\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        char option[40];
        (void)snprintf(option, sizeof option, "--%s %s", rows[i].name,
                       rows[i].argument != NULL ? rows[i].argument : "");
        fprintf(out, "  %-20s %s\n", option, rows[i].help);
    }
    fprintf(out, "\nworkloads, by name or by what stands before the dot (* short set):\n");
    for (const bench_workload *workload = bench_workloads; workload->name != NULL; workload++)
        fprintf(out, "%s %-17s %s\n", workload->is_short ? " *" : "  ", workload->name, workload->help);
    fprintf(out, "\nstorages:");
    for (const utapi_backend_ops *const *kind = utapi_registry_all(); *kind != NULL; kind++)
        fprintf(out, " %s journal+%s", (*kind)->name, (*kind)->name);
    fprintf(out, "\n");
}

static bool complain(const struct option_row *row, const char *expected)
{
    fprintf(stderr, "utapi-bench: --%s: expected %s\n", row->name, expected);
    return false;
}

static bool parse_number(const struct option_row *row, const char *text, double *ret)
{
    char *end;
    char expected[64];
    errno = 0;
    *ret = strtod(text, &end);
    if (errno == 0 && end != text && *end == '\0' && *ret >= row->least && *ret <= row->most)
        return true;
    (void)snprintf(expected, sizeof expected, "a number from %g to %g", row->least, row->most);
    return complain(row, expected);
}

static bool parse_backends(const struct option_row *row, char *text, bench_options *ret)
{
    ret->backend_count = 0;
    for (char *rest = text, *name; (name = strsep(&rest, ",")) != NULL;) {
        if (ret->backend_count == BENCH_BACKENDS_MAX || *name == '\0')
            return complain(row, "names of storages with commas between them");
        if (!target_storage_is_known(name)) {
            fprintf(stderr, "utapi-bench: --backend: no storage is called \"%s\"; see --help\n", name);
            return false;
        }
        for (unsigned i = 0; i < ret->backend_count; i++)
            if (strcmp(ret->backends[i], name) == 0)
                return complain(row, "each storage once");
        ret->backends[ret->backend_count++] = name;
    }
    ret->has_backends = true;
    return true;
}

static bool parse_transports(const struct option_row *row, char *text, bench_options *ret)
{
    memset(ret->transports, 0, sizeof ret->transports);
    for (char *rest = text, *name; (name = strsep(&rest, ",")) != NULL;) {
        unsigned i = 0;
        while (i < BENCH_TRANSPORTS && strcmp(name, bench_transport_names[i]) != 0)
            i++;
        if (i == BENCH_TRANSPORTS)
            return complain(row, "process, http or both with a comma between them");
        ret->transports[i] = true;
    }
    ret->has_transports = true;
    return true;
}

static bool parse_option(const struct option_row *row, char *text, bench_options *ret)
{
    void *member = (char *)ret + row->member;
    double number = 0;
    switch (row->kind) {
    case TEXT:
        *(const char **)member = text;
        return true;
    case SETS:
    case CLEARS:
        *(bool *)member = row->kind == SETS;
        return true;
    case LIST:
        return strcmp(row->name, "backend") == 0 ? parse_backends(row, text, ret)
                                                 : parse_transports(row, text, ret);
    case NUMBER:
        return parse_number(row, text, (double *)member);
    case COUNT:
        if (!parse_number(row, text, &number))
            return false;
        if (number != floor(number))
            return complain(row, "a whole number");
        if (row->member == MEMBER(seed))
            ret->seed = (uint64_t)number;
        else
            *(unsigned *)member = (unsigned)number;
        return true;
    }
    return false;
}

/* 0: run; else the exit status plus one. */
static int parse_options(int argc, char **argv, bench_options *ret)
{
    struct option table[ROWS + 2] = {{"help", no_argument, NULL, 'h'}};
    for (size_t i = 0; i < ROWS; i++)
        table[i + 1] =
            (struct option){rows[i].name, rows[i].argument != NULL ? required_argument : no_argument, NULL,
                            OPTION_BASE + (int)i};
    bool has_duration = false;
    for (int option; (option = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        if (option == 'h') {
            usage(stdout);
            return 1;
        }
        if (option < OPTION_BASE) {
            fprintf(stderr, "see utapi-bench --help\n");
            return 3;
        }
        const struct option_row *row = &rows[option - OPTION_BASE];
        has_duration = has_duration || row->member == MEMBER(duration_s);
        if (!parse_option(row, optarg, ret))
            return 3;
    }
    if (ret->is_short && !has_duration)
        ret->duration_s = 0.6;
    ret->words = argv + optind;
    ret->word_count = (unsigned)(argc - optind);
    return 0;
}

static bool words_are_known(const bench_options *options)
{
    for (unsigned i = 0; i < options->word_count; i++) {
        const bench_workload *workload = bench_workloads;
        while (workload->name != NULL && !bench_workload_is(workload, options->words[i]))
            workload++;
        if (workload->name == NULL) {
            fprintf(stderr, "utapi-bench: no workload is called \"%s\"; see --help\n", options->words[i]);
            return false;
        }
    }
    return true;
}

/* A server that runs already is one storage, whatever it stores in, and is reached by HTTP alone. */
static bool url_is_usable(bench_options *options)
{
    char host[64];
    uint16_t port;
    const char *wrong = NULL;
    if (options->has_backends)
        wrong = "what it stores in is its own choice: leave out --backend";
    else if (options->has_transports && options->transports[BENCH_IN_PROCESS])
        wrong = "it can only be measured over HTTP: leave out --transport";
    else if (!target_parse_url(options->url, host, sizeof host, &port))
        wrong = "expected http://ADDRESS:PORT, with an IPv4 address";
    if (wrong != NULL) {
        fprintf(stderr, "utapi-bench: --url: %s\n", wrong);
        return false;
    }
    options->backends[0] = "url";
    options->backend_count = 1;
    memset(options->transports, 0, sizeof options->transports);
    options->transports[BENCH_HTTP] = true;
    return true;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_main(int argc, char **argv)
{
    bench_options options = {.backends = {"lmdb"},
                             .backend_count = 1,
                             .transports = {true, true},
                             .repeat = 3,
                             .duration_s = 2,
                             .scale = 1,
                             .seed = 1,
                             .floors = true,
                             .access_key = "accessKey1",
                             .secret_key = "verySecretKey1"};
    const int answer = parse_options(argc, argv, &options);
    if (answer != 0)
        return answer - 1;
    if (!words_are_known(&options))
        return 2;
    if (options.url != NULL && !url_is_usable(&options))
        return 2;
    if (options.load > 0 && options.rate > 0) {
        fprintf(stderr, "utapi-bench: --load: it is the rate: leave out --rate\n");
        return 2;
    }
    /* A floor goes as fast as it can on this machine: a rate that was set, or another machine's, is no part of it. */
    if (options.rate > 0 || options.load > 0 || options.url != NULL)
        options.floors = false;
    bench_interrupt_catch();
    raise_file_limit();
    const bool is_whole = bench_run(&options);
    if (bench_is_interrupted())
        return SIGNAL_STATUS + bench_interrupt_signal();
    return is_whole ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int plot_main(int count, char **arguments)
{
    const bool is_help =
        count > 0 && (strcmp(arguments[0], "--help") == 0 || strcmp(arguments[0], "-h") == 0);
    if (is_help || count != 2) {
        (void)fprintf(is_help ? stdout : stderr, "usage: utapi-bench plot FILE.json DIR\n");
        return is_help ? EXIT_SUCCESS : 2;
    }
    json_t *document = bench_document_read(arguments[0]);
    const bool is_done = document != NULL && bench_plot(document, arguments[1]);
    json_decref(document);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int command_run(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int count, char **arguments);
    } commands[] = {{"compare", compare_main}, {"plot", plot_main}, {"serve", serve_main}};
    for (size_t i = 0; i < sizeof commands / sizeof *commands && argc > 1; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    return run_main(argc, argv);
}

int main(int argc, char **argv)
{
    const int code = command_run(argc, argv);
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "utapi-bench: not all that was printed could be written\n");
    return code != EXIT_SUCCESS ? code : EXIT_FAILURE;
}
