/* SPDX-License-Identifier: Apache-2.0 */
/* edges_main.c - runs the cases of edges.h on one kind of storage.
 *
 *     contract_edges KIND [durable] */
#include "edges.h"

#include "backends/registry.h"
#include "kinds.h"

#include <stdio.h>
#include <string.h>

edges_subject edges_kind;
const utapi_backend_ops *edges_oracle;

static int (*const all_cases[])(void) = {
    cases_count,   cases_overflow, cases_uuid, cases_forget,  cases_questions,
    cases_storage, cases_full,     cases_disk, cases_threads, cases_model,
};

int main(int argc, char **argv)
{
    edges_kind.ops = argc > 1 ? kind_find(argv[1]) : NULL;
    edges_oracle = utapi_registry_find("memory");
    if (edges_kind.ops == NULL || edges_oracle == NULL) {
        fprintf(stderr, "usage: contract_edges KIND [durable]\n");
        return 2;
    }
    edges_kind.durable = argc > 2 && strcmp(argv[2], "durable") == 0;

    int failed = 0;
    for (size_t i = 0; i < sizeof all_cases / sizeof *all_cases; i++)
        failed += all_cases[i]();
    kind_done();
    return failed != 0;
}
