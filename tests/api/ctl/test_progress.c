/* SPDX-License-Identifier: Apache-2.0 */
/* test_progress.c - off a terminal progress is a line now and then, and says what is left. */
#include "check.h"

#include "ctl/progress.h"
#include "utapi/clock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char told[512];

/* What a call prints on stderr. */
static const char *said_by(progress *self, uint64_t done, size_t count)
{
    int fds[2];
    const int err = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    (void)fflush(stderr);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    progress_show(self, done, count);
    (void)fflush(stderr);
    assert_true(dup2(err, STDERR_FILENO) >= 0);
    close(err);
    close(fds[1]);
    const ssize_t size = read(fds[0], told, sizeof told - 1);
    close(fds[0]);
    told[size > 0 ? size : 0] = '\0';
    return told;
}

static progress begun(uint64_t total)
{
    progress self;
    progress_begin(&self, total, "events");
    self.is_terminal = false;
    self.interval_ms = 30000;
    self.started_ms = utapi_monotonic_ms() - 60000;
    self.drawn_ms = utapi_monotonic_ms() - 30001;
    return self;
}

static void a_line_says_how_far_it_is_and_what_is_left(void **state)
{
    (void)state;
    progress self = begun(1000);
    const char *line = said_by(&self, 250, 120000);
    assert_memory_equal(line, "utapictl:  25 %  120,000 events  ", 33);
    assert_non_null(strstr(line, "/s  3:00 left\n"));
}

static void the_next_line_waits(void **state)
{
    (void)state;
    progress self = begun(0);
    assert_non_null(strstr(said_by(&self, 1, 1), "1 events"));
    assert_string_equal(said_by(&self, 2, 2), "");
}

static void without_a_total_nothing_is_said_of_what_is_left(void **state)
{
    (void)state;
    progress self = begun(0);
    const char *line = said_by(&self, 5, 5);
    assert_null(strstr(line, "left"));
    assert_null(strchr(line, '%'));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_line_says_how_far_it_is_and_what_is_left),
        cmocka_unit_test(the_next_line_waits),
        cmocka_unit_test(without_a_total_nothing_is_said_of_what_is_left),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
