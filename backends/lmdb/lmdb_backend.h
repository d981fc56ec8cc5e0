/* SPDX-License-Identifier: Apache-2.0 */
/**
 * lmdb_backend.h - storage in a directory of this machine, in an LMDB environment: the embedded default.
 */
#ifndef LMDB_LMDB_BACKEND_H
#define LMDB_LMDB_BACKEND_H

#include "utapi/backend_admin.h"

extern const utapi_backend_ops utapi_lmdb_backend;

#endif
