# SPDX-License-Identifier: Apache-2.0
"""Every folder has a README.md and is listed in the one above, every link in a document leads somewhere, and man
pages are well formed.

    python3 lint_docs.py ROOT [MANDOC]
"""

import os
import re
import subprocess
import sys

import tree

# Explained by the README.md above: headers in their include path, plain data, pages for man.
EXPLAINED_ABOVE = re.compile(r"(^|/)(include|vectors|corpus|man|examples)(/|$)|^\.")

# Their README.md is a table of their folders.
LISTING = ("api", "backends", "tests")

FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?\)")
HEADING = re.compile(r"^#+ +(.*?)\s*$", re.M)


def folders_without_readme(root):
    everything = tree.files(root)
    for folder in sorted({os.path.dirname(path) for path in everything}):
        if not EXPLAINED_ABOVE.search(folder) and os.path.join(folder, "README.md") not in everything:
            yield f"{folder or '.'}: has no README.md"


def unlisted_folders(root):
    everything = tree.files(root)
    for folder in LISTING:
        path = f"{folder}/README.md"
        listed = LINK.findall(tree.read(root, path)) if path in everything else []
        for name in sorted({each.split("/")[1] for each in everything if re.match(rf"{folder}/[^/]+/", each)}):
            if f"{folder}/{name}/README.md" in everything and f"{name}/README.md" not in listed:
                yield f"{path}: does not list {name}/README.md"


def anchor_of(heading):
    """The anchor that a heading gets in rendered Markdown."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading.lower()))
    return kept.replace(" ", "-")


def broken_links(root):
    for path in tree.files(root, ".md"):
        text = FENCE.sub(lambda match: re.sub(r"[^\n]", "", match.group()), tree.read(root, path))
        for match in LINK.finditer(text):
            target, _, anchor = match.group(1).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            there = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
            if not os.path.exists(os.path.join(root, there)):
                yield f"{where}: links to {there}, which is not there"
            elif anchor and anchor not in map(anchor_of, HEADING.findall(tree.read(root, there))):
                yield f"{where}: links to a heading #{anchor}, which {there} does not have"


def bad_man_pages(root, mandoc):
    pages = [path for path in tree.files(root) if re.search(r"\.[1-8]$", path)]
    for path in pages:
        checked = subprocess.run(
            [mandoc, "-Tlint", "-Wwarning", path], cwd=root, capture_output=True, text=True, check=False
        )
        if checked.returncode != 0:
            yield from (checked.stdout + checked.stderr).strip().split("\n")


def check(root, mandoc="mandoc"):
    return [*folders_without_readme(root), *unlisted_folders(root), *broken_links(root), *bad_man_pages(root, mandoc)]


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
