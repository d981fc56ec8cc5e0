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
    redis_connection *idle;
};

redis_pool *utapi_redis_pool_new(const redis_uri *uri)
{
    redis_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->uri = uri;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void utapi_redis_pool_free(redis_pool *pool)
{
    if (pool == NULL)
        return;
    for (redis_connection *connection; (connection = pool->idle) != NULL;
         utapi_redis_connection_free(connection))
        pool->idle = connection->next;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

redis_connection *utapi_redis_pool_take(redis_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    redis_connection *connection = pool->idle;
    if (connection != NULL)
        pool->idle = connection->next;
    pthread_mutex_unlock(&pool->lock);
    return connection != NULL ? connection : utapi_redis_connection_new(pool->uri);
}

void utapi_redis_pool_give(redis_pool *pool, redis_connection *connection)
{
    pthread_mutex_lock(&pool->lock);
    redis_connection **position = &pool->idle;
    while (connection->context == NULL && *position != NULL)
        position = &(*position)->next;
    connection->next = *position;
    *position = connection;
    pthread_mutex_unlock(&pool->lock);
}
