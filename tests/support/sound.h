/* SPDX-License-Identifier: Apache-2.0 */
/** sound.h - a storage's folder that nobody has open, read as a whole: nothing may be wrong in it. */
#ifndef SUPPORT_SOUND_H
#define SUPPORT_SOUND_H

#include "utapi/backend_admin.h"

/** Fails the test that runs with the first finding. */
void support_sound(const utapi_backend_ops *kind, const char *location);

#endif
