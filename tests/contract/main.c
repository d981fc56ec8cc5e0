/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - runs the suite, or some of it, on one kind of storage.
 *
 *     contract BACKEND [-t NAME] [-s SEED] [-r ROUNDS] [-n STEPS]
 *
 * -t  only the topic of this name, or the cases whose names begin so
 * -s  the seed of the random cases; each round prints its own
 * -r  how many rounds of them
 * -n  how many steps a round has */
#include "contract.h"
#include "kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    const struct CMUnitTest *cases;
} topics[] = {
#define X(topic) {#topic, contract_##topic},
    CONTRACT_TOPICS(X)
#undef X
};

static int usage(void)
{
    fprintf(stderr, "usage: contract BACKEND [-t NAME] [-s SEED] [-r ROUNDS] [-n STEPS]\n");
    return 2;
}

static bool number_read(const char *text, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

/* Runs those cases of a topic that were asked for. Returns how many failed. */
static int topic_run(const char *topic, const struct CMUnitTest *cases, const char *wanted, size_t *ret_count)
{
    enum { CASES_MAX = 64 };
    struct CMUnitTest chosen[CASES_MAX];
    size_t count = 0;
    for (; cases->name != NULL && count < CASES_MAX; cases++)
        if (wanted == NULL || strcmp(topic, wanted) == 0 || strncmp(cases->name, wanted, strlen(wanted)) == 0)
            chosen[count++] = *cases;
    *ret_count += count;
    return count > 0 ? kind_run(topic, chosen, count) : 0;
}

int main(int argc, char **argv)
{
    const char *wanted = NULL;
    bool is_fine = true;
    for (int option; (option = getopt(argc, argv, "t:s:r:n:")) != -1;) {
        if (option == 't')
            wanted = optarg;
        else if (option == 's')
            is_fine = number_read(optarg, &contract_chance.seed) && is_fine;
        else if (option == 'r')
            is_fine = number_read(optarg, &contract_chance.rounds) && is_fine;
        else if (option == 'n')
            is_fine = number_read(optarg, &contract_chance.steps) && is_fine;
        else
            is_fine = false;
    }
    if (!is_fine || optind + 1 != argc || !kind_choose(argv[optind]))
        return usage();

    int failed = 0;
    size_t count = 0;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        failed += topic_run(topics[i].name, topics[i].cases, wanted, &count);
    kind_done();
    if (count == 0) {
        fprintf(stderr, "contract: no topic \"%s\", and no case that begins so\n", wanted);
        return 2;
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
