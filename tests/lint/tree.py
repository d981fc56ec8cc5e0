# SPDX-License-Identifier: Apache-2.0
"""The source tree as the lints see it: which files there are, their code without comments, and how a
lint reports. A lint is a function from the root folder to a list of problems, "path:line: sentence"."""

import os
import re
import sys

# Made by builds and tools, or another project's: not ours to judge.
SKIPPED_FOLDERS = re.compile(r"^(build.*|node_modules|__pycache__|\.(?!ci$).*)$")

COMMENT_OR_STRING = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.X | re.S
)


def files(root, *suffixes, under=""):
    """Paths relative to root of the files with one of these suffixes (none given: all), sorted."""
    found = []
    for folder, folders, names in os.walk(os.path.join(root, under)):
        folders[:] = [name for name in folders if not SKIPPED_FOLDERS.match(name)]
        for name in names:
            if name != ".git" and (not suffixes or name.endswith(suffixes)):  # in a worktree it is a file
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def code_lines(text):
    """(number, line) of C code with comments and strings blanked; #include lines keep theirs."""

    def blank(match):
        if match.group().startswith('"') and re.search(r"#\s*include\s*$", text[: match.start()][-40:]):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return enumerate(COMMENT_OR_STRING.sub(blank, text).split("\n"), start=1)


def report(problems):
    """Prints the problems and ends the program: 0 if there are none."""
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problem(s)" if problems else "clean")
    sys.exit(1 if problems else 0)
