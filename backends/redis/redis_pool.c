/* SPDX-License-Identifier: Apache-2.0 */
/* redis_pool.c - links that wait for a user; the one that was given back last goes first, since it is the warmest. One that
 * has no connection goes last: where no more can be made, those that are there answer. */
#include "redis_link.h"
#include "redis_link_internal.h"

#include <pthread.h>
#include <stdlib.h>

struct redis_pool {
    const redis_uri *uri; /* borrowed */
    pthread_mutex_t lock; /* guards the list */
    redis_link *idle;
};

redis_pool *redis_pool_new(const redis_uri *uri)
{
    redis_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->uri = uri;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void redis_pool_free(redis_pool *pool)
{
    if (pool == NULL)
        return;
    for (redis_link *link; (link = pool->idle) != NULL; redis_link_free(link))
        pool->idle = link->next;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

redis_link *redis_pool_take(redis_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    redis_link *link = pool->idle;
    if (link != NULL)
        pool->idle = link->next;
    pthread_mutex_unlock(&pool->lock);
    return link != NULL ? link : redis_link_new(pool->uri);
}

void redis_pool_give(redis_pool *pool, redis_link *link)
{
    pthread_mutex_lock(&pool->lock);
    redis_link **place = &pool->idle;
    while (link->context == NULL && *place != NULL)
        place = &(*place)->next;
    link->next = *place;
    *place = link;
    pthread_mutex_unlock(&pool->lock);
}
