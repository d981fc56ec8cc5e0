# SPDX-License-Identifier: Apache-2.0
"""Holds answers against docs/openapi.json: what the harness does with each that a system test gets.

Of JSON Schema it knows what that document uses. A keyword that it does not know is an error, so that nothing is passed
over in silence.
"""

import json
import os
import re
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "..", "..", "docs", "openapi.json"), encoding="utf-8") as file:
    DOCUMENT = json.load(file)

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def resolve(value):
    while "$ref" in value:
        at = DOCUMENT
        for name in value["$ref"].removeprefix("#/").split("/"):
            at = at[name]
        value = at
    return value


def same_type(value, name):
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def members(value, schema, where):
    for name in schema.get("required", []):
        if name not in value:
            yield f"{where}: there is no {name}"
    for name, member in value.items():
        allowed = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
        if allowed is False:
            yield f"{where}: {name} is not described"
        elif allowed is not True:
            yield from problems(member, allowed, f"{where}.{name}")


def any_of(value, schemas, where):
    each = [list(problems(value, schema, where)) for schema in schemas]
    return [] if [] in each else each[0]


# Each keyword: what is wrong with a value, as sentences. None: it says nothing of the value.
KEYWORDS = {
    "type": lambda v, s, w: [] if same_type(v, s["type"]) else [f"{w}: expected {s['type']}, not {v!r}"],
    "enum": lambda v, s, w: [] if v in s["enum"] else [f"{w}: {v!r} is none of {s['enum']}"],
    "pattern": lambda v, s, w: [] if re.search(s["pattern"], v) else [f"{w}: {v!r} does not match {s['pattern']}"],
    "minimum": lambda v, s, w: [] if v >= s["minimum"] else [f"{w}: {v} is less than {s['minimum']}"],
    "minLength": lambda v, s, w: [] if len(v) >= s["minLength"] else [f"{w}: it is too short"],
    "maxLength": lambda v, s, w: [] if len(v) <= s["maxLength"] else [f"{w}: it is too long"],
    "minItems": lambda v, s, w: [] if len(v) >= s["minItems"] else [f"{w}: {len(v)} items are too few"],
    "maxItems": lambda v, s, w: [] if len(v) <= s["maxItems"] else [f"{w}: {len(v)} items are too many"],
    "minProperties": lambda v, s, w: [] if len(v) >= s["minProperties"] else [f"{w}: too few members"],
    "maxProperties": lambda v, s, w: [] if len(v) <= s["maxProperties"] else [f"{w}: too many members"],
    "items": lambda v, s, w: [p for i, item in enumerate(v) for p in problems(item, s["items"], f"{w}[{i}]")],
    "properties": members,
    "additionalProperties": lambda v, s, w: [] if "properties" in s else members(v, s, w),
    "anyOf": lambda v, s, w: any_of(v, s["anyOf"], w),
    "oneOf": lambda v, s, w: any_of(v, s["oneOf"], w),
    "required": None, "description": None, "format": None,
}  # fmt: skip


def problems(value, schema, where="body"):
    schema = resolve(schema)
    if "type" in schema and not same_type(value, schema["type"]):
        yield from KEYWORDS["type"](value, schema, where)
        return
    for keyword in schema:
        if KEYWORDS[keyword] is not None:
            yield from KEYWORDS[keyword](value, schema, where)


# ---- answers ---------------------------------------------------------------------------------------


def path_pattern(path):
    parts = re.split(r"(\{\w+\})", path)
    return re.compile("".join("(.*)" if part.startswith("{") else re.escape(part) for part in parts) + r"\Z")


# The one that matches all comes last, as in the table of routes.
PATHS = sorted(((path_pattern(path), item) for path, item in DOCUMENT["paths"].items()), key=lambda pair: pair[1] is DOCUMENT["paths"]["/{level}"])


def operation_of(method, target):
    path = urllib.parse.urlsplit(target).path if target.startswith("/") else target
    for pattern, item in PATHS[:-1]:
        if pattern.match(path) and method.lower() in item:
            return item[method.lower()]
    return DOCUMENT["paths"]["/{level}"]["post"]


def check_answer(method, target, status, content_type, body):
    """Raises AssertionError where an answer is not as it is described."""
    if method == "HEAD" or (content_type or "").startswith("text/html"):  # the latter is libmicrohttpd's, or a page
        return
    responses = operation_of(method, target)["responses"]
    response = responses.get(str(status), responses.get(f"{status // 100}XX"))
    assert response is not None, f"{method} {target}: {status} is not described"
    content = resolve(response).get("content")
    if content is None or not body:
        assert not body and content is None, f"{method} {target}: {status} with {body!r}"
        return
    media = content.get((content_type or "").split(";")[0])
    assert media is not None, f"{method} {target}: {status} with {content_type}, which is not described"
    if "json" in content_type:
        found = list(problems(json.loads(body), media["schema"]))
        assert not found, f"{method} {target}: {status}: {found[:5]}"
