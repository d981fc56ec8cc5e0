# SPDX-License-Identifier: Apache-2.0
"""Every public header compiles alone, as ISO C17, with each compiler, and may be included twice.

    python3 lint_headers.py ROOT COMPILER...
"""

import os
import re
import subprocess
import sys

import tree

PUBLIC = re.compile(r"^(core/include/utapi|backends/include/backends)/[a-z_]+\.h$")
FOLDERS = ["core/include", "backends/include", "backends/journal", "backends/redis"]
WARNINGS = ["-std=c17", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]


def check(root, *compilers):
    problems = []
    for path in filter(PUBLIC.match, tree.files(root, ".h")):
        shown = re.sub(r"^(core|backends)/include/", "", path)
        for compiler in compilers:
            compiled = subprocess.run(
                [compiler, *WARNINGS, *map("-I{}".format, FOLDERS), "-xc", "-"],
                input=f'#include "{shown}"\n#include "{shown}"\n',
                cwd=os.path.abspath(root), capture_output=True, text=True, check=False,
            )  # fmt: skip
            if compiled.returncode != 0:
                problems.append(f"{path}:1: does not compile alone with {compiler}:\n{compiled.stderr}")
    return problems


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
