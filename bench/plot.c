/* SPDX-License-Identifier: Apache-2.0 */
/* plot.c - a table of pictures, each a script of gnuplot with its data inside. */
#include "plot.h"

#include "child.h"
#include "result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- data --------------------------------------------------------------------------------- */

static bool is_of_group(const json_t *line, const char *group)
{
    const char *name = json_string_value(json_object_get(line, "workload"));
    const size_t size = strlen(group);
    return name != NULL && strncmp(name, group, size) == 0 && name[size] == '.';
}

/* "lmdb http": the lines of one curve have it in common. */
static void curve_name(const json_t *line, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s %s", json_string_value(json_object_get(line, "backend")),
                   json_string_value(json_object_get(line, "transport")));
}

/* One block of data for each curve, headed by its name: clients, median, least, most. */
static unsigned curves_write(const json_t *results, FILE *file)
{
    char curve[64];
    char other[64];
    unsigned curves = 0;
    size_t i;
    json_t *first;
    json_array_foreach (results, i, first) {
        curve_name(first, curve, sizeof curve);
        bool is_new = is_of_group(first, "ingest");
        for (size_t j = 0; j < i && is_new; j++) {
            curve_name(json_array_get(results, j), other, sizeof other);
            is_new = strcmp(curve, other) != 0 || !is_of_group(json_array_get(results, j), "ingest");
        }
        if (!is_new)
            continue;
        (void)fprintf(file, "%s\"%s\"\n", curves++ > 0 ? "\n\n" : "", curve);
        for (size_t j = i; j < json_array_size(results); j++) {
            const json_t *line = json_array_get(results, j);
            double median;
            double least;
            double most;
            curve_name(line, other, sizeof other);
            if (strcmp(curve, other) == 0 && is_of_group(line, "ingest") &&
                bench_line_figure(line, "per_s", &median, &least, &most, NULL))
                (void)fprintf(file, "%lld %.3f %.3f %.3f\n",
                              (long long)json_integer_value(json_object_get(line, "clients")), median, least,
                              most);
        }
    }
    return curves;
}

static unsigned latencies_write(const json_t *results, FILE *file)
{
    static const char *const figures[] = {"p50_us", "p99_us", "p99.9_us"};
    unsigned count = 0;
    size_t i;
    json_t *line;
    json_array_foreach (results, i, line) {
        char name[128];
        bench_line_name(line, name, sizeof name);
        (void)fprintf(file, "\"%s\"", name);
        for (size_t j = 0; j < sizeof figures / sizeof *figures; j++) {
            double us = 0;
            (void)bench_line_figure(line, figures[j], &us, NULL, NULL, NULL);
            (void)fprintf(file, " %.4f", us / 1000);
        }
        (void)fprintf(file, "\n");
        count++;
    }
    return count;
}

static unsigned ratios_write(const json_t *results, FILE *file)
{
    unsigned count = 0;
    size_t i;
    json_t *line;
    json_array_foreach (results, i, line) {
        const json_t *floor = json_array_get(json_object_get(line, "floors"), 0);
        if (floor == NULL)
            continue;
        char name[128];
        bench_line_name(line, name, sizeof name);
        (void)fprintf(file, "\"%s\" %.4f\n", name, json_number_value(json_object_get(floor, "ratio")));
        count++;
    }
    return count;
}

/* ---- pictures ----------------------------------------------------------------------------- */

#define NAMES_BELOW \
    "set xtics rotate by 60 right font ',9'\nset xrange [-0.7:*]\nset offsets 0, 0.7, 0, 0\nset lmargin 14\n"

static const struct picture {
    const char *name;
    unsigned (*write)(const json_t *results, FILE *file); /* returns how many lines or curves there are */
    const char *settings, *command;
} pictures[] = {
    {"throughput", curves_write,
     "set title 'Single events, acknowledged'\nset logscale x 2\nset xlabel 'clients'\nset ylabel 'events a second'\n"
     "set yrange [0:*]\nset key outside below\n",
     "stats $data using 1 nooutput\n"
     "plot for [i=0:STATS_blocks-1] $data index i using 1:2:3:4 with yerrorlines title columnheader(1)\n"},
    {"latency", latencies_write,
     "set title 'Time of a request'\nset logscale y\nset ylabel 'ms'\nset key outside above\n" NAMES_BELOW,
     "plot $data using 0:2:xtic(1) with points pt 7 title 'p50', '' using 0:3 with points pt 5 title 'p99', "
     "'' using 0:4 with points pt 9 title 'p99.9'\n"},
    {"floors", ratios_write,
     "set title 'Rate as a part of the first floor'\nset yrange [0:*]\nset ylabel 'ratio'\nset style fill solid 0.6\n"
     "set boxwidth 0.7\nunset key\n" NAMES_BELOW,
     "plot $data using 0:2:xtic(1) with boxes\n"},
};

/* A text between gnuplot's single quotes: a quote in it is written twice, and nothing else means anything. */
static void quoted_write(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        (void)fputc(*text, file);
        if (*text == '\'')
            (void)fputc('\'', file);
    }
}

static bool script_write(const struct picture *picture, const json_t *results, const char *folder,
                         const char *path, unsigned *ret_count)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        fprintf(stderr, "utapi-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    (void)fprintf(file, "set terminal svg size 1200,640 background 'white'\nset output '");
    quoted_write(file, folder);
    (void)fprintf(file, "/%s.svg'\nset grid\n%s", picture->name, picture->settings);
    (void)fprintf(file, "$data << END\n");
    *ret_count = picture->write(results, file);
    (void)fprintf(file, "END\n%s", picture->command);
    const bool is_whole = ferror(file) == 0;
    if (fclose(file) == 0 && is_whole)
        return true;
    fprintf(stderr, "utapi-bench: %s: %s\n", path, strerror(errno));
    return false;
}

/* Its exit status, as of child_finish(). */
static int gnuplot_run(const char *argument, const char *log)
{
    const char *const arguments[] = {"gnuplot", argument, NULL};
    child gnuplot;
    utapi_error err;
    utapi_error_clear(&err);
    return child_start(arguments, log, &gnuplot, &err) == UTAPI_OK ? child_finish(&gnuplot)
                                                                   : CHILD_CANNOT_START;
}

static void tell_missing(void)
{
    fprintf(stderr, "utapi-bench: gnuplot is needed for plots (Debian: apt-get install gnuplot-nox)\n");
}

static bool picture_draw(const struct picture *picture, const json_t *results, const char *folder)
{
    char path[1024];
    char log[1024];
    char image[1024];
    unsigned count;
    (void)snprintf(image, sizeof image, "%s/%s.svg", folder, picture->name);
    (void)snprintf(path, sizeof path, "%s/%s.gnuplot", folder, picture->name);
    (void)snprintf(log, sizeof log, "%s/gnuplot.log", folder);
    (void)unlink(image); /* of another document */
    if (!script_write(picture, results, folder, path, &count))
        return false;
    if (count == 0)
        return true; /* nothing of this kind was measured */
    const int status = gnuplot_run(path, log);
    if (status == CHILD_CANNOT_START)
        tell_missing();
    else if (status != 0)
        fprintf(stderr, "utapi-bench: gnuplot does not draw %s; see %s\n", path, log);
    return status == 0;
}

/* A folder that is there, or now is. */
static bool folder_make(const char *folder, bool *ret_is_new)
{
    *ret_is_new = mkdir(folder, 0777) == 0;
    struct stat status;
    if (!*ret_is_new && errno == EEXIST && stat(folder, &status) == 0 && !S_ISDIR(status.st_mode))
        errno = ENOTDIR;
    if (*ret_is_new || errno == EEXIST)
        return true;
    fprintf(stderr, "utapi-bench: %s: %s\n", folder, strerror(errno));
    return false;
}

bool bench_plot_is_possible(const char *folder)
{
    bool is_new;
    if (gnuplot_run("--version", "/dev/null") != 0) {
        tell_missing();
        return false;
    }
    if (!folder_make(folder, &is_new))
        return false;
    const bool is_writable = access(folder, W_OK | X_OK) == 0;
    if (!is_writable)
        fprintf(stderr, "utapi-bench: %s: %s\n", folder, strerror(errno));
    if (is_new)
        (void)rmdir(folder);
    return is_writable;
}

bool bench_plot(const json_t *document, const char *folder)
{
    const json_t *results = json_object_get(document, "results");
    bool is_new;
    if (!folder_make(folder, &is_new))
        return false;
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        if (!picture_draw(&pictures[i], results, folder))
            return false;
    return true;
}
