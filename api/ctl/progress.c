/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - "[#####     ]  50 %  120,000 events  35,000/s" on stderr. */
#include "ctl/progress.h"

#include "ctl/format.h"
#include "utapi/clock.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGE_BYTES    ((uint64_t)1 << 20)
#define REDRAW_MS      INT64_C(100)
#define BAR_CHARACTERS 30

void progress_begin(progress *self, uint64_t total, const char *unit)
{
    *self = (progress){.is_shown = isatty(STDERR_FILENO) != 0,
                       .unit = unit,
                       .total = total,
                       .started_ms = utapi_monotonic_ms()};
}

void progress_start(progress *self, FILE *input, bool is_wanted)
{
    struct stat facts;
    const bool is_file = fstat(fileno(input), &facts) == 0 && S_ISREG(facts.st_mode);
    progress_begin(self, is_file ? (uint64_t)facts.st_size : 0, "events");
    self->is_shown = self->is_shown && is_wanted && (self->total == 0 || self->total >= LARGE_BYTES);
}

static void draw_bar(const progress *self, uint64_t done)
{
    char bar[BAR_CHARACTERS + 1];
    const double share = done < self->total ? (double)done / (double)self->total : 1.0;
    const size_t full = (size_t)(share * BAR_CHARACTERS);
    memset(bar, ' ', BAR_CHARACTERS);
    memset(bar, '#', full);
    bar[BAR_CHARACTERS] = '\0';
    fprintf(stderr, "[%s] %3d %%  ", bar, (int)(share * 100));
}

void progress_show(progress *self, uint64_t done, size_t count)
{
    const int64_t now_ms = utapi_monotonic_ms();
    if (!self->is_shown || now_ms - self->drawn_ms < REDRAW_MS)
        return;
    self->drawn_ms = now_ms;
    const int64_t spent_ms = now_ms > self->started_ms ? now_ms - self->started_ms : 1;
    fputs("\r\033[K", stderr);
    if (self->total > 0)
        draw_bar(self, done);
    fprintf(stderr, "%s %s  %s/s", format_count((int64_t)count).text, self->unit,
            format_count((int64_t)((double)count * 1000 / (double)spent_ms)).text);
}

void progress_clear(progress *self)
{
    if (self->drawn_ms != 0)
        fputs("\r\033[K", stderr);
    self->drawn_ms = 0;
}
