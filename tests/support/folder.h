/* SPDX-License-Identifier: Apache-2.0 */
/**
 * folder.h - a temporary folder of a test's own.
 */
#ifndef SUPPORT_FOLDER_H
#define SUPPORT_FOLDER_H

/** Makes an empty folder; its path is written to the buffer. Fails the test if that cannot be done. */
void support_folder_make(char path[static 256]);

/** Removes a folder and all in it. */
void support_folder_remove(const char *path);

#endif
