# SPDX-License-Identifier: Apache-2.0
"""Functions that are never called, words that do not ship, and the licence line of every source file.

    python3 lint_words.py ROOT
"""

import re
import sys

import tree

# Each has a replacement that says how much room there is, or that may be used by threads.
BANNED_CALLS = {
    "strcpy": "memcpy", "strcat": "snprintf", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "gets": "getline", "strtok": "strtok_r", "atoi": "strtoll", "atol": "strtoll", "strtol": "strtoll",
    "gmtime": "gmtime_r", "localtime": "localtime_r",
}  # fmt: skip
BANNED = re.compile(r"\b(" + "|".join(BANNED_CALLS) + r")\s*\(")

# The letters in brackets keep this file from finding itself.
LEFT_OVER = re.compile(
    r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|not implemented ye[t]|/wor[k]/|\.\./share[d]"
    r"|https?://(de[b]|registr[y]|package[s])\.|\"resolve[d]\":"
)
# What CI alone may know: where the signing vectors lie beside the repository.
MAY_POINT_OUTSIDE = ".ci/run"
RECORDED = re.compile(r"^tests/(golden/|samples/.*json|fuzz/)|^LICENSE$")

LICENCE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = (".c", ".h", ".def", ".py", ".js", ".sh", ".lua", ".inc")
SCRIPTS = ("run", ".ci/run")


def banned_calls(root):
    for path in tree.files(root, ".c", ".h", ".def", ".inc"):
        for number, line in tree.code_lines(tree.read(root, path)):
            for name in BANNED.findall(line):
                yield f"{path}:{number}: {name}() is not used here: {BANNED_CALLS[name]}() is"


def left_over_words(root):
    for path in tree.files(root):
        if RECORDED.match(path) or path == MAY_POINT_OUTSIDE:
            continue
        for number, line in enumerate(tree.read(root, path).split("\n"), start=1):
            found = LEFT_OVER.search(line)
            if found:
                yield f"{path}:{number}: \"{found.group()}\" does not belong in what ships"


def missing_licences(root):
    everything = tree.files(root)
    for path in everything:
        if path.endswith(SOURCES) or path in SCRIPTS:
            head = tree.read(root, path).split("\n")[:2]
            if not any(LICENCE in line for line in head):
                yield f"{path}:1: the first line is not {LICENCE}"


def check(root):
    return [*banned_calls(root), *left_over_words(root), *missing_licences(root)]


if __name__ == "__main__":
    tree.report(check(sys.argv[1]))
