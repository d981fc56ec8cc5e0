# SPDX-License-Identifier: Apache-2.0
"""Every .c and .h is as clang-format 14 leaves it. Tables (.def) are laid out by hand.

    python3 lint_format.py ROOT CLANG_FORMAT
"""

import subprocess
import sys

import tree


def check(root, clang_format):
    problems = []
    for path in tree.files(root, ".c", ".h"):
        checked = subprocess.run(
            [clang_format, "--style=file", "--dry-run", "-Werror", path],
            cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if checked.returncode != 0:
            where = checked.stderr.split(": error:")[0].strip() or path
            problems.append(f"{where}: run {clang_format} -i {path}")
    return problems


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
