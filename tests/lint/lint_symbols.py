# SPDX-License-Identifier: Apache-2.0
"""What the libraries let out: every external symbol of core/ and backends/ bears the prefix utapi_ and is
declared in a header of its own room, and every function of a public header is really there.

    python3 lint_symbols.py ROOT ARCHIVE...
"""

import re
import subprocess
import sys

import tree

ROOMS = ("core", "backends")
PUBLIC = re.compile(r"^(core|backends)/include/")
# Sanitizers add symbols of their own beside ours.
SANITIZERS = re.compile(r"^(__odr_asan|__asan|__tsan|__ubsan|__sanitizer|asan\.|tsan\.)")
# A declaration at the left margin: everything up to the name, then "(" of its parameters. Not a typedef.
FUNCTION = re.compile(r"^(?!typedef|static|#|/|\s)[\w \t*]*?\b(utapi_\w+)\s*\(", re.M)


def external_symbols(archive):
    listed = subprocess.run(
        ["nm", "--extern-only", "--defined-only", "--format=posix", archive],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {line.split()[0] for line in listed.stdout.split("\n") if len(line.split()) >= 3}
    return {name for name in names if not SANITIZERS.match(name)}


def without_comments(root, path):
    return "\n".join(line for _, line in tree.code_lines(tree.read(root, path)))


def check(root, *archives):
    headers = {path: without_comments(root, path) for room in ROOMS for path in tree.files(root, ".h", under=room)}
    declared = {name for text in headers.values() for name in re.findall(r"\b\w+\b", text)}
    promised = {}
    for path, text in headers.items():
        if PUBLIC.match(path):
            promised.update((name, path) for name in FUNCTION.findall(text))

    problems = []
    defined = set()
    for archive in archives:
        for name in sorted(external_symbols(archive)):
            defined.add(name)
            if not name.startswith("utapi_"):
                problems.append(f"{archive}: {name} has external linkage without the prefix utapi_")
            elif name not in declared:
                problems.append(f"{archive}: {name} has external linkage and stands in no header")
    problems += [f"{path}: {name}() is defined nowhere" for name, path in sorted(promised.items())
                 if name not in defined and not re.search(r"_fn$|_cb$", name)]
    return problems


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
