# SPDX-License-Identifier: Apache-2.0
"""clang-tidy 14 finds nothing in any file that the build compiles (.clang-tidy says what it looks for).

    python3 lint_tidy.py ROOT CLANG_TIDY BUILD_FOLDER
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys

import tree

FINDING = re.compile(r"^\S+?:\d+:\d+: (warning|error): .*$", re.M)


def compiled_files(root, build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        paths = {os.path.realpath(entry["file"]) for entry in json.load(file)}
    inside = os.path.realpath(root) + os.sep
    return sorted(path for path in paths if path.startswith(inside) and not path.startswith(os.path.realpath(build)))


def tidy(clang_tidy, build, path):
    checked = subprocess.run(
        [clang_tidy, "--quiet", f"-p={build}", path], capture_output=True, text=True, check=False
    )
    findings = [match.group() for match in FINDING.finditer(checked.stdout)]
    if checked.returncode != 0 and not findings:
        findings.append(f"{path}: {clang_tidy} failed: {checked.stderr.strip()[:500]}")
    return findings


def check(root, clang_tidy, build):
    paths = compiled_files(root, build)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda path: tidy(clang_tidy, build, path), paths)
    return sorted({finding for findings in found for finding in findings})


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
