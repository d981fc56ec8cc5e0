# SPDX-License-Identifier: Apache-2.0
"""What comments and documents name is there: files, and the headings that code cites as document#heading. The headers
that name our keys in Redis name each of them.

    python3 lint_references.py ROOT

A name with a slash is the end of some file's path, one without is some file's name. A name may hold wildcards.
Links in documents are lint_docs.py's business.
"""

import fnmatch
import re
import sys

import lint_docs
import tree

# Somebody else's, or made by the build.
NOT_OURS = {"config.json", "context.json", "package.json", "metrics.lua", "redis_scripts.inc"}
# Headers of the system and of libraries stand in brackets: <lmdb.h>. A single letter stands for any name.
NAME = re.compile(r"(?<![\w<./*-])(?!/)([\w./*-]*[\w*]{2}\.(?:c|h|def|inc|lua|md|py|js|sh|json|cmake))(?![\w/-]|\.\w)")
CITATION = re.compile(r"\b(docs/[\w./-]+\.md)#([\w-]+)")
# Working papers: what they say stands in docs/, or nowhere. In halves, so that this file does not find itself.
PAPERS = re.compile(r"\b(SPE" r"C|DESIG" r"N|HOUS" r"E)(\.md|\b(?!-))|\bauth_rule" r"s\b")

# A key of ours in Redis, as C and Lua put it together: after the component, or after a resource's name.
KEY = re.compile(r"""utapid:(\w+)|\bOWN \.\. '(\w+)'|\bREDIS_OWN "(\w+)"|_own\([^()"]*"(\w+)"\)""")
KEY_USERS, KEY_HEADERS = "backends/redis/", ("redis_keys.h", "utapi_replay.h")

# Strings are matched with C's comments, so that neither is looked for in the other.
COMMENTS = {
    (".c", ".h", ".def", ".js"): tree.COMMENT_OR_STRING,
    (".lua",): re.compile(r"--[^\n]*"),
    (".py", ".sh", "CMakeLists.txt", ".cmake"): re.compile(r"(?:^|(?<=\s))#[^\n]*", re.M),
    (".md",): re.compile(r"`[^`\n]+`"),
}
DATA = re.compile(r"^tests/(golden/.*json|samples/.*json|fuzz/corpus/)|^LICENSE$|\.svg$")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def comments(path, text):
    """(offset, comment) of a source file. Of a document: what stands between backticks, without the examples."""
    for suffixes, pattern in COMMENTS.items():
        if not path.endswith(suffixes):
            continue
        if path.endswith(".md"):
            text = lint_docs.FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
        for match in pattern.finditer(text):
            if not match.group().startswith(('"', "'")):
                yield match.start(), match.group()


def is_there(name, everything, names):
    if name in NOT_OURS or name in names:
        return True
    wanted = re.sub(r"^(\.{1,2}/)+", "", name)
    return any(fnmatch.fnmatchcase("/" + path, "*/" + wanted) for path in everything)


def missing_files(root, everything):
    names = {path.rsplit("/", 1)[-1] for path in everything}
    for path in everything:
        if DATA.search(path):
            continue
        text = tree.read(root, path)
        for offset, comment in comments(path, text):
            for match in NAME.finditer(comment):
                if not is_there(match.group(1), everything, names):
                    yield f"{path}:{line_of(text, offset + match.start())}: names {match.group(1)}, which is not there"


def missing_headings(root, everything):
    anchors = {
        path: {lint_docs.anchor_of(heading) for heading in lint_docs.HEADING.findall(tree.read(root, path))}
        for path in everything
        if path.startswith("docs/") and path.endswith(".md")
    }
    for path in everything:
        text = "" if DATA.search(path) else tree.read(root, path)
        for match in CITATION.finditer(text):
            if match.group(2) not in anchors.get(match.group(1), ()):
                yield f"{path}:{line_of(text, match.start())}: cites {match.group()}, which is not there"


def papers(root, everything):
    for path in everything:
        text = "" if DATA.search(path) else tree.read(root, path)
        for match in PAPERS.finditer(text):
            yield f"{path}:{line_of(text, match.start())}: cites {match.group()}, which is no document of this repository"


def unnamed_keys(root, everything):
    users = [path for path in everything if path.startswith(KEY_USERS) and path.endswith((".c", ".h", ".lua"))]
    named = " ".join(tree.read(root, path) for path in users if path.endswith(KEY_HEADERS))
    for path in users:
        text = tree.read(root, path)
        for match in KEY.finditer(text):
            key = next(filter(None, match.groups()))
            if f"utapid:{key}" not in named:
                yield f"{path}:{line_of(text, match.start())}: no header names the key {key}"


def check(root):
    everything = tree.files(root)
    rules = missing_files, missing_headings, papers, unnamed_keys
    return [problem for rule in rules for problem in rule(root, everything)]


if __name__ == "__main__":
    tree.report(check(sys.argv[1]))
