/* SPDX-License-Identifier: Apache-2.0 */
/**
 * commands.h - the commands of utapictl, each in a file of its own.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

extern const command push_command;
extern const command list_command;
extern const command journal_command;
extern const command migrate_command;

#endif
