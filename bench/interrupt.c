/* SPDX-License-Identifier: Apache-2.0 */
/* interrupt.c - the signal that asked us to end. */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t interrupted; /* by this signal; 0: not */

static void on_signal(int number)
{
    interrupted = number;
}

bool bench_is_interrupted(void)
{
    return interrupted != 0;
}

int bench_interrupt_signal(void)
{
    return interrupted;
}

void bench_interrupt_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}
