/* SPDX-License-Identifier: Apache-2.0 */
/**
 * completion.h - scripts that complete a command line as it is typed.
 */
#ifndef CTL_COMPLETION_H
#define CTL_COMPLETION_H

#include "ctl/command.h"

/**
 * Prints the script of a shell on standard output.
 *
 * @param shell     "bash", "zsh" or "fish"
 * @param commands  ended by NULL
 * @return false: there is none for that shell
 */
bool completion_print(const char *shell, const ctl_command *const *commands);

#endif
