/* SPDX-License-Identifier: Apache-2.0 */
/**
 * memory.h - storage that lasts as long as the process: for tests, for trying things out, and to copy from.
 */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

#include "utapi/backend.h"

extern const utapi_backend_ops utapi_memory_backend;

#endif
