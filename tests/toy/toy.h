/* SPDX-License-Identifier: Apache-2.0 */
/**
 * toy.h - a backend as somebody else would write it, from docs/writing-a-backend.md and the public headers alone.
 */
#ifndef TOY_TOY_H
#define TOY_TOY_H

#include "utapi/backend.h"

extern const utapi_backend_ops utapi_toy_backend;

#endif
