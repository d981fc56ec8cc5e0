/* SPDX-License-Identifier: Apache-2.0 */
/**
 * interrupt.h - signals that end a run early, but cleanly.
 */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

#include <stdbool.h>

/** From now on SIGINT, SIGTERM and SIGHUP are remembered, and nobody dies of SIGPIPE. */
void bench_interrupt_catch(void);

/** Whether one came: what waits or loops looks at it. */
bool bench_is_interrupted(void);

/** Which one; 0: none. */
int bench_interrupt_signal(void);

#endif
