#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disturbs the scenario at its first call of a sort, its second, ... until a run has no such call left.

usage: sweep.py SCENARIO SHIM KIND CALL EFFECT. A run that is killed is run again on what it left; what it had
acknowledged must be there.
"""

import os
import subprocess
import sys
import tempfile

NO_FAULT = 10
MOST = 20_000


def run(scenario, kind, folder, shim=None, fault=None, acknowledged=None):
    environment = dict(os.environ)
    if shim:
        environment |= {"LD_PRELOAD": shim, "UTAPI_FAULT": fault, "UTAPI_FAULT_DIR": folder}
    command = [scenario, kind, folder] + ([str(acknowledged)] if acknowledged is not None else [])
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def disturb(scenario, shim, kind, fault):
    """Whether a fault came. Ends the program where a promise is broken."""
    with tempfile.TemporaryDirectory(prefix="utapi-fault-") as folder:
        folder = os.path.realpath(folder)
        result = run(scenario, kind, folder, shim, fault)
        if result.returncode == -9:
            acknowledged = result.stdout.count("\n")
            result = run(scenario, kind, folder, acknowledged=acknowledged)
            if result.returncode == NO_FAULT:
                return True
        if result.returncode not in (0, NO_FAULT):
            sys.exit(f"{fault}: the scenario ended with {result.returncode}:\n{result.stdout}{result.stderr}")
        return result.returncode == 0


def main():
    scenario, shim, kind, call, effect = sys.argv[1:]
    for nth in range(1, MOST):
        if not disturb(scenario, shim, kind, f"{call}:{nth}:{effect}"):
            if nth == 1:
                sys.exit(f"{call}: the scenario makes no such call: nothing was tested")
            print(f"{kind}: {nth - 1} runs, one for each {call} that can end with {effect}: all is well")
            return
    sys.exit(f"{call}: no end after {MOST} runs")


if __name__ == "__main__":
    main()
