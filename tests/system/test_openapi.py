# SPDX-License-Identifier: Apache-2.0
"""The description that the server brings along: it is docs/openapi.json, sound OpenAPI, and its examples are true; the
page of it has each request and asks for nothing from elsewhere."""

import html.parser
import json
import os
import re
import subprocess

import openapi
from harness import ROOT, SystemTest, main

SPECTRAL = os.path.join(os.environ.get("UTAPI_NODE_MODULES", ""), ".bin", "spectral")
DOCUMENT = os.path.join(ROOT, "docs", "openapi.json")
VOID = {"meta", "link", "br", "img", "input"}


class Page(html.parser.HTMLParser):
    """The ids and links of a page, and whether its elements are closed as they were opened."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.tags = [], set(), [], set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.ids.add(attrs.get("id"))
        self.links += [attrs[name] for name in ("href", "src") if name in attrs]
        if tag not in VOID and not (tag == "p" and self.open[-1:] == ["p"]):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


def each_media(document):
    for path, item in document["paths"].items():
        for method in ("get", "post"):
            operation = item.get(method, {})
            yield f"{method} {path}", operation.get("requestBody", {}).get("content", {})
            for status, response in operation.get("responses", {}).items():
                yield f"{method} {path} {status}", openapi.resolve(response).get("content", {})


class Openapi(SystemTest):
    def test_the_server_brings_the_document_along(self):
        with self.server() as server:
            status, body = server.request("GET", "/openapi.json")
        with open(DOCUMENT, "rb") as file:
            self.assertEqual((status, body), (200, file.read()))

    def test_the_page_has_each_request(self):
        with self.server() as server:
            status, body = server.request("GET", "/_/docs")
        self.assertEqual(status, 200)
        page = Page()
        page.feed(body.decode())
        self.assertEqual(page.open, [])
        self.assertNotIn("script", page.tags)
        self.assertEqual({link for link in page.links if not link.startswith("#")}, {"/openapi.json"})
        self.assertLessEqual({link[1:] for link in page.links if link.startswith("#")}, page.ids)
        ids = {item[m]["operationId"] for item in openapi.DOCUMENT["paths"].values() for m in item if m != "parameters"}
        self.assertLessEqual(ids, page.ids)
        self.assertNotIn(b"url(", body)

    def test_addresses_that_are_not_listed_are_refused(self):
        with self.server(env={"UTAPI_ALLOW_OPENAPI": "10.0.0.1"}) as server:
            for path in ("/openapi.json", "/_/docs"):
                self.assertEqual(server.request("GET", path)[0], 403)

    def test_examples_are_as_the_document_says(self):
        count = 0
        for where, content in each_media(openapi.DOCUMENT):
            for media in content.values():
                found = list(openapi.problems(media["example"], media["schema"]))
                self.assertEqual(found, [], where)
                count += 1
        self.assertGreater(count, 40)

    def test_it_is_sound_openapi(self):
        if not os.path.exists(SPECTRAL):
            self.skip_or_fail("npm's spectral-cli is not installed")
        rules = os.path.join(ROOT, "tests", "system", "spectral.yaml")
        linted = subprocess.run([SPECTRAL, "lint", "-r", rules, "--fail-severity=hint", DOCUMENT], capture_output=True, text=True, check=False)
        self.assertEqual(linted.returncode, 0, linted.stdout + linted.stderr)

    def test_the_document_says_which_version_it_is_of(self):
        with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
            version = re.search(r"VERSION (\d+\.\d+\.\d+)", file.read()).group(1)
        self.assertEqual(openapi.DOCUMENT["info"]["version"], version)

    def test_answers_that_are_not_described_are_found(self):
        for answer in ((200, "application/json", b'{"x":1}'), (302, "application/json", b"{}"), (200, "text/plain", b"{}"),
                       (403, "application/json", b'{"code":"a"}')):
            with self.assertRaises(AssertionError):
                openapi.check_answer("GET", "/_/healthcheck", *answer)
        openapi.check_answer("GET", "/_/healthcheck", 200, "application/json", b'{"status":"ok"}')


if __name__ == "__main__":
    main()
