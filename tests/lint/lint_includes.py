# SPDX-License-Identifier: Apache-2.0
"""The direction of use, from #include lines: core uses nobody; a backend uses core and its own library;
api uses core and never names a backend, in layers of which none uses one above it; each library of others has its
one home. Only a main sees both sides.

    python3 lint_includes.py ROOT
"""

import re
import sys

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# Which files may include a header of somebody else's library.
LIBRARY_HOMES = {
    r"microhttpd\.h": r"api/server/|tests/|bench/",
    r"jansson\.h": r"api/json/|api/auth/identity\.c|api/config/|api/ctl/|api/openapi/openapi_page\.c|tests/|bench/",
    r"openssl/.*": r"api/auth/|tests/|bench/",
    r"curl/.*": r"api/ctl/client\.c$|tests/|bench/",
    r"lmdb\.h": r"backends/(lmdbenv|lmdb|journal)/|tests/|bench/",
    r"hiredis/.*": r"backends/redis/|tests/|bench/",
    r"cmocka\.h": r"tests/",
}

# Which of our own headers a room may include, by the form in which they are written.
CORE_PUBLIC = r"utapi/[a-z_]+\.(h|def)"
ROOM_USES = {
    "core": [CORE_PUBLIC, r"[a-z_0-9]+\.(h|def)"],
    "backends": [CORE_PUBLIC, r"[a-z_0-9]+\.(h|def|inc)"],
    "api": [CORE_PUBLIC, r"[a-z]+/[a-z_0-9]+\.(h|def)", r"[a-z_0-9]+\.(h|def|inc)"],
}

# The layers of api/: a folder, and those that it may use beside itself.
LAYERS = {
    "http": [],
    "json": ["http"],
    "auth": ["http"],
    "config": ["http"],
    "openapi": [],
    "handlers": ["http", "json", "auth", "openapi"],
    "server": ["http", "json", "handlers"],
    "daemon": ["http", "json", "auth", "config", "handlers", "server"],
    "ctl": ["auth", "json"],
}

REGISTRY = "backends/registry.h"
REGISTRY_USERS = re.compile(r"backends/(registry\.c|include/)|api/(daemon|ctl)/|tests/|bench/")

# No backend, but what those share that keep an LMDB environment.
SHARED = "lmdbenv"

# No storage itself: the registry opens it before any, so a main speaks of it, and never of a storage by name.
JOURNAL = "journal"
MAINS = re.compile(r"api/(daemon|ctl)/")


def library_problem(path, header):
    for library, homes in LIBRARY_HOMES.items():
        if re.fullmatch(library, header) and not re.match(homes, path):
            return f"<{header}> may be included by {homes} alone"
    return None


def room_problem(path, header):
    room = path.split("/")[0]
    if header == REGISTRY:
        return None if REGISTRY_USERS.match(path) else f"{REGISTRY} is for mains alone"
    if room in ROOM_USES and not any(re.fullmatch(form, header) for form in ROOM_USES[room]):
        return f'{room}/ may not use "{header}"'
    return layer_problem(path, header)


def layer_problem(path, header):
    folder, used = path.split("/")[1], header.split("/")[0]
    if not path.startswith("api/") or "/" not in header or used in ("utapi", folder):
        return None
    if folder not in LAYERS:
        return f"{folder} has no row in LAYERS"
    return None if used in LAYERS[folder] else f'api/{folder}/ may not use "{header}"'


def backend_names(root):
    return sorted({path.split("/")[1] for path in tree.files(root, ".c", under="backends")
                   if path.count("/") == 2 and not path.startswith("backends/include/")} - {SHARED})


# What the contract itself says of journals (utapi/backend_journal.h) names no backend.
CONTRACT = r"utapi_journal_(?:stats|stats_fn|ops)\b"


def pattern_of(names):
    either = "|".join(names) or "none"
    return re.compile(rf"(?!{CONTRACT})\butapi_({either})_\w+|\b({either})_backend\b")


def check(root):
    problems = []
    # A backend's own name is its folder's: utapi_lmdb_backend, lmdb_apply.
    other_backend = pattern_of(backend_names(root))
    storage = pattern_of([name for name in backend_names(root) if name != JOURNAL])
    for path in tree.files(root, ".c", ".h", ".def"):
        room = path.split("/")[0]
        for number, line in tree.code_lines(tree.read(root, path)):
            include = INCLUDE.match(line)
            if include:
                form, header = include.groups()
                problem = library_problem(path, header) or (form == '"' and room_problem(path, header))
                if problem:
                    problems.append(f"{path}:{number}: {problem}")
            elif room in ("core", "api") and (storage if MAINS.match(path) else other_backend).search(line):
                problems.append(f"{path}:{number}: {room}/ names a backend: {line.strip()}")
            elif room == "backends" and path.count("/") == 2:
                for named in other_backend.findall(line):
                    if (named[0] or named[1]) != path.split("/")[1] and "/include/" not in path:
                        problems.append(f"{path}:{number}: one backend names another: {line.strip()}")
    return problems


if __name__ == "__main__":
    tree.report(check(sys.argv[1]))
