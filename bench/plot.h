/* SPDX-License-Identifier: Apache-2.0 */
/**
 * plot.h - pictures of a run's document, drawn by gnuplot.
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <jansson.h>
#include <stdbool.h>

/**
 * Draws throughput.svg (rate by number of clients), latency.svg and floors.svg into a folder, which is made if
 * need be; the scripts that gnuplot was given stay beside them. Says on stderr what goes wrong.
 */
bool bench_plot(const json_t *document, const char *folder);

/** Whether it can: gnuplot is there, and files can be made in the folder. Leaves nothing; says on stderr why not. */
bool bench_plot_is_possible(const char *folder);

#endif
