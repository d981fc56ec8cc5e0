/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standalone_driver.c - replays files through a fuzz target, without a fuzzer.
 *
 * Arguments are files or folders of files. Each file is fed whole, and cut off after each of its bytes: that finds
 * most slips of a parser on any compiler. Every input is a block of its own, so that AddressSanitizer sees what
 * reads beyond it.
 */
#include "fuzz_target.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX 65536

static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static bool replay_file(const char *path)
{
    static uint8_t data[FILE_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    for (size_t cut = 0; cut <= size; cut++)
        feed(data, cut);
    return true;
}

/* How many files were fed; -1 if one could not be. */
static int replay_folder(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    for (const struct dirent *entry = readdir(folder); entry != NULL && count >= 0; entry = readdir(folder)) {
        char *file = NULL;
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&file, "%s/%s", path, entry->d_name) < 0)
            abort();
        count = replay_file(file) ? count + 1 : -1;
        free(file);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat about;
        const bool is_folder = stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode);
        const int count = is_folder ? replay_folder(argv[i]) : replay_file(argv[i]) ? 1 : -1;
        if (count < 0)
            return EXIT_FAILURE;
        total += count;
    }
    printf("%d files replayed\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
