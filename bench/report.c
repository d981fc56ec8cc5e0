/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - the table. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static void print_duration(FILE *out, double us)
{
    if (us < 1000)
        (void)fprintf(out, " %8.1f us", us);
    else if (us < 1e6)
        (void)fprintf(out, " %8.2f ms", us / 1e3);
    else
        (void)fprintf(out, " %8.2f s ", us / 1e6);
}

static void print_rate(FILE *out, double per_s)
{
    if (per_s < 100)
        (void)fprintf(out, " %9.1f", per_s);
    else
        (void)fprintf(out, " %9.0f", per_s);
}

void report_head(FILE *out, const bench_options *options, const bench_host *host, const bench_disk *disk)
{
    (void)fprintf(out, "%s, %ld cores, %.1f GiB; %s; %s\n%s\n", host->cpu, host->cores,
                  (double)host->memory_bytes / (MIB * 1024), host->kernel, host->file_system, host->versions);
    (void)fprintf(out, "disk: 4 KiB appended and synced %.0f times a second, p50 %.0f us, p99 %.0f us\n",
                  disk->syncs_per_s, disk->p50_us, disk->p99_us);
    (void)fprintf(out, "%u repetition%s of %g s, %s loop, seed %llu; medians, the rate's spread%s\n\n",
                  options->repeat, options->repeat == 1 ? "" : "s", options->duration_s,
                  options->rate > 0 || options->load > 0 ? "open" : "closed",
                  (unsigned long long)options->seed, options->floors ? ", its ratio to each floor" : "");
    (void)fprintf(out, "%-16s %-14s %-7s %9s %6s %-9s %11s %11s %11s %11s  %s\n", "workload", "storage", "by",
                  "a second", "+-", "", "p50", "p99", "p99.9", "max", options->floors ? "of floor" : "");
    (void)fflush(out);
}

static void print_floors(FILE *out, const bench_result *result)
{
    const double per_s = series_median(&result->figures[FIGURE_PER_S]);
    const char *before = "  ";
    for (unsigned i = 0; i < result->floor_count; i++) {
        const double floor_per_s = series_median(&result->floors[i].per_s);
        if (floor_per_s <= 0)
            continue;
        (void)fprintf(out, "%s%.2f %s", before, per_s / floor_per_s, result->floors[i].floor->name);
        before = ", ";
    }
}

static void print_notes(FILE *out, const bench_result *result)
{
    const bench_series *applied = &result->figures[FIGURE_APPLIED_PER_S];
    if (applied->count > 0)
        (void)fprintf(out, "    %.0f events a second until the storage behind the journal has them\n",
                      series_median(applied));
    if (result->has_memory)
        (void)fprintf(out, "    server: %.1f MiB in memory, %.1f MiB of it its own\n",
                      (double)result->memory_bytes / MIB, (double)result->anonymous_bytes / MIB);
    if (result->unsent > 0)
        (void)fprintf(out, "    %llu requests were due, and not sent when the time was over\n",
                      (unsigned long long)result->unsent);
    if (result->failed > 0)
        (void)fprintf(out, "    %llu requests FAILED; the first: %s\n", (unsigned long long)result->failed,
                      result->failure);
}

void report_line(FILE *out, const bench_result *result)
{
    const bench_series *figures = result->figures;
    const double per_s = series_median(&figures[FIGURE_PER_S]);
    const double spread = series_most(&figures[FIGURE_PER_S]) - series_least(&figures[FIGURE_PER_S]);
    (void)fprintf(out, "%-16s %-14s %-7s", result->workload->name, result->backend,
                  bench_transport_names[result->transport]);
    print_rate(out, per_s);
    (void)fprintf(out, " %5.1f%% %-9s", per_s > 0 ? 50 * spread / per_s : 0,
                  bench_workload_unit(result->workload));
    for (unsigned i = FIGURE_P50_US; i <= FIGURE_MAX_US; i++)
        print_duration(out, series_median(&figures[i]));
    print_floors(out, result);
    (void)fprintf(out, "\n");
    print_notes(out, result);
    (void)fflush(out);
}

void report_missing(FILE *out, const bench_workload *workload, const char *backend, bench_transport transport,
                    const utapi_error *err)
{
    (void)fprintf(out, "%-16s %-14s %-7s not measured: %s\n", workload->name, backend,
                  bench_transport_names[transport],
                  err->detail[0] != '\0' ? err->detail : utapi_status_text(err->status));
    (void)fflush(out);
}

void report_senseless(FILE *out, const bench_workload *workload, const char *backend,
                      bench_transport transport, const char *reason)
{
    (void)fprintf(out, "%-16s %-14s %-7s skipped: %s\n", workload->name, backend,
                  bench_transport_names[transport], reason);
    (void)fflush(out);
}

void report_skipped(FILE *out, const char *backend, bench_transport transport)
{
    (void)fprintf(out, "%-16s %-14s %-7s skipped: utapid has a journal before it; measure journal+%s\n", "",
                  backend, bench_transport_names[transport], backend);
    (void)fflush(out);
}

void report_foot(FILE *out)
{
    (void)fprintf(out, "\nfloors:\n");
    for (const bench_floor *floor = bench_floors; floor->name != NULL; floor++)
        if (floor->help != NULL)
            (void)fprintf(out, "  %-14s %s\n", floor->name, floor->help);
}
