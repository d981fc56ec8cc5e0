/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c - see folder.h. */
#include "folder.h"

#include "check.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

void support_folder_make(char path[static 256])
{
    const char *parent = getenv("TMPDIR");
    snprintf(path, 256, "%s/utapi-test-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(path));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

void support_folder_remove(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
