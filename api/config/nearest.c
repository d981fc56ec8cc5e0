/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.c - which key somebody meant: the one with the fewest letters to change, add or drop (Levenshtein's
 * distance), compared without regard to case, as a whole path or by its last part. */
#include "config/keys.h"

#include <ctype.h>
#include <string.h>

#define MOST_LETTERS 48

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t less = a < b ? a : b;
    return less < c ? less : c;
}

/* SIZE_MAX for words that are too long to be a slip of the pen. */
static size_t distance(const char *left, const char *right)
{
    const size_t width = strlen(right);
    size_t row[MOST_LETTERS + 1];
    if (strlen(left) > MOST_LETTERS || width > MOST_LETTERS)
        return SIZE_MAX;
    for (size_t x = 0; x <= width; x++)
        row[x] = x;
    for (size_t y = 1; left[y - 1] != '\0'; y++) {
        size_t diagonal = row[0];
        row[0] = y;
        for (size_t x = 1; x <= width; x++) {
            const int same = tolower((unsigned char)left[y - 1]) == tolower((unsigned char)right[x - 1]);
            const size_t replaced = diagonal + (same ? 0 : 1);
            diagonal = row[x];
            row[x] = smallest(replaced, row[x] + 1, row[x - 1] + 1);
        }
    }
    return row[width];
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

/* How far `path` is from a key: from all of it, its last part, or the object that it is in. */
static size_t distance_to_key(const char *path, const char *key)
{
    char group[MOST_LETTERS] = "";
    const size_t size = strcspn(key, ".");
    if (size < sizeof group)
        memcpy(group, key, size);
    return smallest(distance(path, key), distance(last_part(path), last_part(key)), distance(path, group));
}

const char *config_key_nearest(const char *path)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    const size_t letters = strlen(last_part(path));
    const char *nearest = NULL;
    size_t least = letters < 4 ? 2 : 3; /* that many letters wrong are another word */
    for (size_t i = 0; i < count; i++) {
        const size_t here = distance_to_key(path, keys[i].path);
        if (here < least) {
            least = here;
            nearest = keys[i].path;
        }
    }
    return nearest;
}
