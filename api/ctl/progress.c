/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - "[#####     ]  50 %  120,000 events  35,000/s  0:46 left" on stderr. */
#include "ctl/progress.h"

#include "ctl/format.h"
#include "utapi/clock.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGE_BYTES    ((uint64_t)1 << 20)
#define REDRAW_MS      INT64_C(100)
#define LINE_MS        INT64_C(30000)
#define BAR_CHARACTERS 30

void progress_begin(progress *self, uint64_t total, const char *unit)
{
    *self = (progress){.is_shown = true,
                       .is_terminal = isatty(STDERR_FILENO) != 0,
                       .unit = unit,
                       .total = total,
                       .started_ms = utapi_monotonic_ms()};
    self->interval_ms = self->is_terminal ? REDRAW_MS : LINE_MS;
    self->drawn_ms = self->is_terminal ? 0 : self->started_ms;
}

void progress_start(progress *self, FILE *input, bool is_wanted)
{
    struct stat facts;
    const bool is_file = fstat(fileno(input), &facts) == 0 && S_ISREG(facts.st_mode);
    progress_begin(self, is_file ? (uint64_t)facts.st_size : 0, "events");
    self->is_shown = self->is_shown && is_wanted && (self->total == 0 || self->total >= LARGE_BYTES);
}

static void bar_draw(double share)
{
    char bar[BAR_CHARACTERS + 1];
    const size_t full = (size_t)(share * BAR_CHARACTERS);
    memset(bar, ' ', BAR_CHARACTERS);
    memset(bar, '#', full);
    bar[BAR_CHARACTERS] = '\0';
    fprintf(stderr, "[%s] ", bar);
}

void progress_show(progress *self, uint64_t done, size_t count)
{
    const int64_t now_ms = utapi_monotonic_ms();
    if (!self->is_shown || now_ms - self->drawn_ms < self->interval_ms)
        return;
    self->drawn_ms = now_ms;
    const int64_t spent_ms = now_ms > self->started_ms ? now_ms - self->started_ms : 1;
    const double share = done < self->total ? (double)done / (double)self->total : 1.0;
    fputs(self->is_terminal ? "\r\033[K" : "utapictl: ", stderr);
    if (self->total > 0 && self->is_terminal)
        bar_draw(share);
    if (self->total > 0)
        fprintf(stderr, "%3d %%  ", (int)(share * 100));
    fprintf(stderr, "%s %s  %s/s", format_count((int64_t)count).text, self->unit,
            format_count((int64_t)((double)count * 1000 / (double)spent_ms)).text);
    if (self->total > 0 && share > 0) {
        const int64_t left_s = (int64_t)((double)spent_ms * (1 - share) / share / 1000);
        fprintf(stderr, "  %lld:%02d left", (long long)(left_s / 60), (int)(left_s % 60));
    }
    if (!self->is_terminal)
        fputc('\n', stderr);
}

void progress_clear(progress *self)
{
    if (!self->is_terminal)
        return;
    if (self->drawn_ms != 0)
        fputs("\r\033[K", stderr);
    self->drawn_ms = 0;
}
