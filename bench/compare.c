/* SPDX-License-Identifier: Apache-2.0 */
/* compare.c - line by line, figure by figure. */
#include "compare.h"

#include "result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS_TRUSTED = 3 };

#define DEVIATIONS     3 /* of repetitions are noise */
#define LEAST_TRUSTED  0.05
#define LEAST_OF_A_FEW 0.1

static const struct compared_figure {
    const char *name;
    const char *text;
    bool more_is_better;
} compared_figures[] = {
    {"per_s", "a second", true},
    {"applied_per_s", "applied a second", true},
    {"p50_us", "p50 us", false},
    {"p99_us", "p99 us", false},
};

typedef enum verdict { ALIKE, BETTER, WORSE } verdict;

/* One figure of one line in both runs. */
typedef struct figure_pair {
    double before, after;
    double noise;
} figure_pair;

static bool has_figure(const json_t *line, const char *figure)
{
    double median;
    return bench_line_figure(line, figure, &median, NULL, NULL, NULL);
}

/* A line in both runs that has the figure in both. */
static figure_pair pair_read(const json_t *before, const json_t *after, const char *figure)
{
    figure_pair pair = {.before = 0};
    size_t repeats[2] = {0, 0};
    (void)bench_line_figure(before, figure, &pair.before, NULL, NULL, &repeats[0]);
    (void)bench_line_figure(after, figure, &pair.after, NULL, NULL, &repeats[1]);
    const bool is_trusted = repeats[0] >= REPEATS_TRUSTED && repeats[1] >= REPEATS_TRUSTED;
    const double deviation = fmax(bench_line_deviation(before, figure), bench_line_deviation(after, figure));
    const double factor_of_two = pair.after < pair.before ? pair.before / 2 : pair.before;
    pair.noise = fmax(DEVIATIONS * deviation, pair.before * (is_trusted ? LEAST_TRUSTED : LEAST_OF_A_FEW));
    pair.noise = fmin(pair.noise, factor_of_two);
    return pair;
}

static verdict judge(const figure_pair *pair, bool more_is_better)
{
    if (fabs(pair->after - pair->before) <= pair->noise)
        return ALIKE;
    return (pair->after > pair->before) == more_is_better ? BETTER : WORSE;
}

static const json_t *line_find(const json_t *results, const char *name)
{
    size_t i;
    json_t *line;
    json_array_foreach (results, i, line) {
        char other[128];
        bench_line_name(line, other, sizeof other);
        if (strcmp(name, other) == 0)
            return line;
    }
    return NULL;
}

static void print_moved(FILE *out, verdict is, const char *name, const char *text, const figure_pair *pair)
{
    (void)fprintf(out, "%-7s %-40s %-17s %12.1f -> %12.1f  ", is == BETTER ? "better" : "WORSE", name, text,
                  pair->before, pair->after);
    if (pair->before > 0)
        (void)fprintf(out, "(%+.1f %%, noise %.1f %%)\n", 100 * (pair->after / pair->before - 1),
                      100 * pair->noise / pair->before);
    else
        (void)fprintf(out, "(new)\n");
}

static void line_compare(const json_t *before, const json_t *after, const char *name, FILE *out,
                         compare_counts *counts)
{
    for (size_t i = 0; i < sizeof compared_figures / sizeof *compared_figures; i++) {
        const struct compared_figure *figure = &compared_figures[i];
        const bool is_before = has_figure(before, figure->name);
        const bool is_after = has_figure(after, figure->name);
        if (is_before != is_after) {
            counts->missing++;
            (void)fprintf(out, "only in the %s: %s, %s\n", is_before ? "first" : "second", name,
                          figure->text);
        }
        if (!is_before || !is_after)
            continue;
        const figure_pair pair = pair_read(before, after, figure->name);
        const verdict is = judge(&pair, figure->more_is_better);
        counts->compared++;
        counts->better += is == BETTER;
        counts->worse += is == WORSE;
        if (is != ALIKE)
            print_moved(out, is, name, figure->text, &pair);
    }
}

static void only_in(const json_t *results, const json_t *others, const char *which, FILE *out,
                    compare_counts *counts)
{
    size_t i;
    json_t *line;
    json_array_foreach (results, i, line) {
        char name[128];
        bench_line_name(line, name, sizeof name);
        if (line_find(others, name) != NULL)
            continue;
        counts->missing++;
        (void)fprintf(out, "only in the %s: %s\n", which, name);
    }
}

static void tell_failed(const json_t *results, FILE *out, compare_counts *counts)
{
    size_t i;
    json_t *line;
    json_array_foreach (results, i, line) {
        const json_int_t failed = json_integer_value(json_object_get(line, "failed"));
        char name[128];
        if (failed <= 0)
            continue;
        counts->failed++;
        bench_line_name(line, name, sizeof name);
        (void)fprintf(out, "FAILED  %-40s %lld requests in the second\n", name, (long long)failed);
    }
}

/* What a run was asked for: with other settings, other figures are no news. */
static void tell_settings(const json_t *before, const json_t *after, FILE *out, compare_counts *counts)
{
    static const char *const settings[] = {"duration_s", "rate", "load", "scale", "seed", "repeat"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const double first = json_number_value(json_object_get(before, settings[i]));
        const double second = json_number_value(json_object_get(after, settings[i]));
        if (first == second)
            continue;
        (void)fprintf(out, "%s%s %g and %g", counts->settings++ == 0 ? "not the same settings: " : ", ",
                      settings[i], first, second);
    }
    if (counts->settings > 0)
        (void)fprintf(out, "\n");
}

void compare_documents(const json_t *before, const json_t *after, FILE *out, compare_counts *ret)
{
    const json_t *lines = json_object_get(before, "results");
    const json_t *others = json_object_get(after, "results");
    size_t i;
    json_t *line;
    *ret = (compare_counts){.compared = 0};
    tell_settings(before, after, out, ret);
    json_array_foreach (lines, i, line) {
        char name[128];
        bench_line_name(line, name, sizeof name);
        const json_t *other = line_find(others, name);
        if (other != NULL)
            line_compare(line, other, name, out, ret);
    }
    only_in(lines, others, "first", out, ret);
    only_in(others, lines, "second", out, ret);
    tell_failed(others, out, ret);
    (void)fprintf(out, "%u figures compared: %u better, %u worse, the others within the noise\n",
                  ret->compared, ret->better, ret->worse);
}

bool compare_is_regression(const compare_counts *counts)
{
    return counts->worse > 0 || counts->missing > 0 || counts->failed > 0 || counts->compared == 0;
}

/* Figures of different machines can be compared, but say little. */
static void warn_of_hosts(const json_t *before, const json_t *after)
{
    static const char *const members[] = {"cpu", "cores", "kernel", "file_system", "versions"};
    const json_t *left = json_object_get(before, "machine");
    const json_t *right = json_object_get(after, "machine");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!json_equal(json_object_get(left, members[i]), json_object_get(right, members[i])))
            printf("the runs differ in their %s\n", members[i]);
}

static void usage(FILE *out)
{
    (void)fprintf(out, "usage: utapi-bench compare [--fail-on-regression] A.json B.json\n");
}

static void help(void)
{
    usage(stdout);
    printf(
        "\n"
        "Tells what moved from the first run to the second: by more than three times the median absolute\n"
        "deviation of the repetitions of either, and by more than 5 %% (10 %% with fewer than three).\n"
        "\n"
        "  --fail-on-regression  exit status 1 if something got worse, is in one of them alone, or failed in\n"
        "                        the second, or if they have no figure in common\n");
}

int compare_main(int count, char **arguments)
{
    bool fails = false;
    const char *paths[2];
    int path_count = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            help();
            return EXIT_SUCCESS;
        }
        if (strcmp(arguments[i], "--fail-on-regression") == 0)
            fails = true;
        else if (path_count < 2 && arguments[i][0] != '-')
            paths[path_count++] = arguments[i];
        else
            path_count = 3;
    }
    if (path_count != 2) {
        usage(stderr);
        return 2;
    }
    json_t *before = bench_document_read(paths[0]);
    json_t *after = bench_document_read(paths[1]);
    compare_counts counts = {.worse = 0};
    const bool is_done = before != NULL && after != NULL;
    if (is_done) {
        warn_of_hosts(before, after);
        compare_documents(before, after, stdout, &counts);
    }
    json_decref(before);
    json_decref(after);
    return !is_done || (fails && compare_is_regression(&counts)) ? EXIT_FAILURE : EXIT_SUCCESS;
}
