/* SPDX-License-Identifier: Apache-2.0 */
/* compare.c - line by line, figure by figure. */
#include "compare.h"

#include "result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS_TRUSTED = 3 };

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

static bool pair_read(const json_t *before, const json_t *after, const char *figure, figure_pair *ret)
{
    double least[2];
    double most[2];
    size_t repeats[2];
    if (!bench_line_figure(before, figure, &ret->before, &least[0], &most[0], &repeats[0]) ||
        !bench_line_figure(after, figure, &ret->after, &least[1], &most[1], &repeats[1]))
        return false;
    const bool is_trusted = repeats[0] >= REPEATS_TRUSTED && repeats[1] >= REPEATS_TRUSTED;
    ret->noise = fmax(fmax(most[0] - least[0], most[1] - least[1]), ret->before * (is_trusted ? 0.05 : 0.1));
    return true;
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

static void line_compare(const json_t *before, const json_t *after, const char *name, FILE *out,
                         compare_counts *counts)
{
    for (size_t i = 0; i < sizeof compared_figures / sizeof *compared_figures; i++) {
        figure_pair pair;
        if (!pair_read(before, after, compared_figures[i].name, &pair))
            continue;
        counts->compared++;
        const verdict is = judge(&pair, compared_figures[i].more_is_better);
        if (is == ALIKE)
            continue;
        counts->better += is == BETTER;
        counts->worse += is == WORSE;
        (void)fprintf(out, "%-7s %-40s %-17s %12.1f -> %12.1f  (%+.1f %%, noise %.1f %%)\n",
                      is == BETTER ? "better" : "WORSE", name, compared_figures[i].text, pair.before,
                      pair.after, pair.before > 0 ? 100 * (pair.after / pair.before - 1) : 0,
                      pair.before > 0 ? 100 * pair.noise / pair.before : 0);
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

void compare_documents(const json_t *before, const json_t *after, FILE *out, compare_counts *ret)
{
    const json_t *lines = json_object_get(before, "results");
    const json_t *others = json_object_get(after, "results");
    size_t i;
    json_t *line;
    *ret = (compare_counts){.compared = 0};
    json_array_foreach (lines, i, line) {
        char name[128];
        bench_line_name(line, name, sizeof name);
        const json_t *other = line_find(others, name);
        if (other != NULL)
            line_compare(line, other, name, out, ret);
    }
    only_in(lines, others, "first", out, ret);
    only_in(others, lines, "second", out, ret);
    (void)fprintf(out, "%u figures compared: %u better, %u worse, the others within the noise\n",
                  ret->compared, ret->better, ret->worse);
}

/* Figures of different machines can be compared, but say little. */
static void warn_of_machines(const json_t *before, const json_t *after)
{
    static const char *const members[] = {"cpu", "cores", "kernel", "file_system", "versions"};
    const json_t *left = json_object_get(before, "machine");
    const json_t *right = json_object_get(after, "machine");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!json_equal(json_object_get(left, members[i]), json_object_get(right, members[i])))
            printf("the runs differ in their %s\n", members[i]);
}

int compare_main(int count, char **arguments)
{
    bool fails = false;
    const char *paths[2];
    int path_count = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--fail-on-regression") == 0)
            fails = true;
        else if (path_count < 2 && arguments[i][0] != '-')
            paths[path_count++] = arguments[i];
        else
            path_count = 3;
    }
    if (path_count != 2) {
        fprintf(stderr, "usage: utapi-bench compare [--fail-on-regression] A.json B.json\n");
        return 2;
    }
    json_t *before = bench_document_read(paths[0]);
    json_t *after = bench_document_read(paths[1]);
    compare_counts counts = {.worse = 0};
    const bool is_done = before != NULL && after != NULL;
    if (is_done) {
        warn_of_machines(before, after);
        compare_documents(before, after, stdout, &counts);
    }
    json_decref(before);
    json_decref(after);
    return !is_done || (fails && counts.worse > 0) ? EXIT_FAILURE : EXIT_SUCCESS;
}
