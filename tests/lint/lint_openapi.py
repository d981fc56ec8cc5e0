# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.json has each route of api/handlers/routes.c, with the list of addresses that may ask; and no other.

    python3 lint_openapi.py ROOT
"""

import json
import re
import sys

import tree

DOCUMENT, ROUTES = "docs/openapi.json", "api/handlers/routes.c"
ROW = re.compile(r'ROUTE\("(\w+)",\s*"(\w*)",\s*"([^"]+)",\s*\w+,\s*(\w+)')
LIST = re.compile(r'#define (\w+)\s+(?:FROM\(\w+, "([\w.]+)"\)|\{\.allow_key = "([\w.]+)")')
# What a pattern of a route is called in the document: names in braces, without the mark for a query.
PATHS = {"*": "/{level}", "/v2/storage/*": "/v2/storage/{level}/{resource}"}


def described(document):
    """(method, path) of each operation, and its words."""
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method in ("get", "post", "head", "put", "delete"):
            if method in item:
                words = item[method]["description"] + "".join(tags[tag] for tag in item[method]["tags"])
                yield (method.upper(), path), words


def check(root):
    operations = dict(described(json.loads(tree.read(root, DOCUMENT))))
    text = tree.read(root, ROUTES)
    lists = {name: first or second for name, first, second in LIST.findall(text)}
    problems, routes = [], set()
    for action, method, pattern, access in ROW.findall(text):
        route = (method or "POST", PATHS.get(pattern, pattern.rstrip("?")))
        routes.add(route)
        if route not in operations:
            problems.append(f"{DOCUMENT}:1: there is no {' '.join(route)} ({action})")
        elif access in lists and f"`{lists[access]}`" not in operations[route]:
            problems.append(f"{DOCUMENT}:1: {' '.join(route)} does not name {lists[access]}")
    problems += [f"{DOCUMENT}:1: there is no route {' '.join(route)}" for route in operations if route not in routes]
    return problems


if __name__ == "__main__":
    tree.report(check(*sys.argv[1:]))
