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

#endif
