/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - the main of utapi-bench: a table of workloads, each measured on a fresh store.
 *
 * The store is a folder of its own below the temporary directory, removed at the end. */
#include "bench.h"

#include "backends/registry.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload {
    const char *name;
    bench_workload_fn *run;
    const char *help;
} workloads[] = {
    {"list", bench_list, "ListMetrics of one bucket over 15 minutes, a day, 30 days and a year"},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: utapi-bench WORKLOAD [--backend NAME] [--rounds N] [--json]\n\nworkloads:\n");
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        fprintf(out, "  %-8s %s\n", workloads[i].name, workloads[i].help);
    fprintf(out, "\nbackends:");
    for (const utapi_backend_ops *const *kind = utapi_registry_all(); *kind != NULL; kind++)
        fprintf(out, " %s", (*kind)->name);
    fprintf(out, "\n");
}

static const struct workload *workload_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

static bool parse_rounds(const char *text, size_t *ret)
{
    char *end;
    errno = 0;
    const long long rounds = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || rounds < 1 || rounds > 100000000) {
        fprintf(stderr, "utapi-bench: --rounds: expected a number from 1 to 100000000\n");
        return false;
    }
    *ret = (size_t)rounds;
    return true;
}

/* Returns false after it has said what is wrong. */
static bool parse_options(int argc, char **argv, bench_options *ret)
{
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'b') {
            ret->backend = utapi_registry_find(optarg);
            if (ret->backend == NULL) {
                fprintf(stderr, "utapi-bench: --backend: no backend is called \"%s\"\n", optarg);
                return false;
            }
        } else if (option == 'r') {
            if (!parse_rounds(optarg, &ret->rounds))
                return false;
        } else if (option == 'j') {
            ret->json = true;
        } else {
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? EXIT_SUCCESS : 2);
        }
    }
    return true;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    bench_options options = {.backend = utapi_registry_find("lmdb"), .rounds = 20000};
    if (!parse_options(argc, argv, &options))
        return 2;
    const struct workload *workload = workload_find(argv[optind]);
    if (workload == NULL || optind + 1 != argc) {
        usage(stderr);
        return 2;
    }

    const char *parent = getenv("TMPDIR");
    char data_dir[4096];
    const int length =
        snprintf(data_dir, sizeof data_dir, "%s/utapi-bench-XXXXXX", parent != NULL ? parent : "/tmp");
    if (length < 0 || (size_t)length >= sizeof data_dir || mkdtemp(data_dir) == NULL) {
        fprintf(stderr, "utapi-bench: no temporary folder: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    options.data_dir = data_dir;
    const bool done = workload->run(&options);
    nftw(data_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
