# SPDX-License-Identifier: Apache-2.0
"""What uses what goes one way: no circle between files, nor between folders. Headers use each other by #include,
compiled files by the symbols that their objects want and define, folders by either.

    python3 lint_circles.py ROOT BUILD
"""

import os
import re
import subprocess
import sys

import tree
from lint_symbols import SANITIZERS

ROOMS = ("core", "backends", "api", "bench")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
OBJECT = re.compile(r"^(.*)/CMakeFiles/[^/]+\.dir/(.*\.c)\.o$")

def folder_of(path):
    """The room that a file belongs to: public headers belong to the folder that they are the door of."""
    return re.sub(r"/include/.*$", "", os.path.dirname(path) + "/").rstrip("/")


def include_edges(root):
    """{file: files that it includes}. A header is looked for beside the file, then where only one can be meant."""
    paths = [path for room in ROOMS for path in tree.files(root, ".c", ".h", ".def", under=room)]
    edges = {path: set() for path in paths}
    for path in paths:
        for _, line in tree.code_lines(tree.read(root, path)):
            found = INCLUDE.match(line)
            if found:
                beside = os.path.join(os.path.dirname(path), found.group(1))
                meant = [beside] if beside in edges else [p for p in paths if p.endswith("/" + found.group(1))]
                edges[path].update(meant if len(meant) == 1 else [])
    return edges


def object_symbols(objects):
    """{source: (symbols that it defines, symbols that it wants)}"""
    listed = subprocess.run(["nm", "--extern-only", "--format=posix", "--print-file-name", *objects.values()],
                            capture_output=True, text=True, check=True)  # fmt: skip
    symbols = {source: (set(), set()) for source in objects}
    source_of = {path: source for source, path in objects.items()}
    for line in listed.stdout.split("\n"):
        path, _, rest = line.partition(": ")
        fields = rest.split()
        if len(fields) >= 2 and not SANITIZERS.match(fields[0]):
            symbols[source_of[path]][fields[1] in "Uvw"].add(fields[0])
    return symbols


def symbol_edges(root, build):
    """{source: sources that define what it wants}. Programs may define the same name: then the one nearby is meant."""
    objects = {}
    for path in tree.files(build, ".c.o", under=""):
        place = OBJECT.match(path)
        source = place and os.path.normpath(os.path.join(*place.groups()))
        if source and source.startswith(ROOMS) and os.path.exists(os.path.join(root, source)):
            objects[source] = os.path.join(build, path)
    symbols = object_symbols(objects) if objects else {}
    definers = {}
    for source, (defined, _) in symbols.items():
        for name in defined:
            definers.setdefault(name, set()).add(source)
    edges = {}
    for source, (_, wanted) in symbols.items():
        edges[source] = set()
        for name in wanted:
            meant = definers.get(name, set())
            if len(meant) > 1:
                meant = {other for other in meant if folder_of(other) == folder_of(source)}
            edges[source].update(meant if len(meant) == 1 else ())
        edges[source].discard(source)
    return edges


def circles(edges):
    """The strongly connected components of more than one node (Tarjan, without recursion), each sorted."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []
    for start in sorted(edges):
        work = [] if start in index else [(start, None)]
        while work:
            node, rest = work.pop()
            if rest is None:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
                rest = iter(sorted(edges.get(node, ())))
            for other in rest:
                if other not in index:
                    work += [(node, rest), (other, None)]
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                if low[node] == index[node]:
                    members = []
                    while not members or members[-1] != node:
                        members.append(stack.pop())
                        on_stack.discard(members[-1])
                    if len(members) > 1:
                        found.append(sorted(members))
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
    return found


def folder_edges(*graphs):
    edges = {}
    for graph in graphs:
        for path, others in graph.items():
            folder = folder_of(path)
            edges.setdefault(folder, set()).update(map(folder_of, others))
            edges[folder].discard(folder)
    return edges


def check(root, build):
    includes, symbols = include_edges(root), symbol_edges(root, build)
    problems = []
    for kind, graph in (("include", includes), ("call", symbols), ("use", folder_edges(includes, symbols))):
        for circle in circles(graph):
            problems.append(f"{circle[0]}:1: {len(circle)} {kind} each other: {', '.join(circle)}")
    return problems


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
