# SPDX-License-Identifier: Apache-2.0
"""Every .c and .h is as clang-format 14 leaves it, and no line of C or Lua is longer than 120 columns, comments
included. Tables are laid out by hand: .def files, and what stands between clang-format off and on.

    python3 lint_format.py ROOT CLANG_FORMAT
"""

import subprocess
import sys

import tree


COLUMNS = 120


def long_lines(root):
    for path in tree.files(root, ".c", ".h", ".lua"):
        by_hand = False
        for number, line in enumerate(tree.read(root, path).split("\n"), start=1):
            by_hand = "clang-format off" in line or (by_hand and "clang-format on" not in line)
            if len(line) > COLUMNS and not by_hand:
                yield f"{path}:{number}: {len(line)} columns; {COLUMNS} are the limit"


def check(root, clang_format):
    problems = list(long_lines(root))
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
