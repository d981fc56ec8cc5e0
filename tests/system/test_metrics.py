# SPDX-License-Identifier: Apache-2.0
"""GET /_/metrics as Prometheus reads it: the format by a parser of our own, every family that the document lists, and
none that stays zero after every outcome occurred once. What is refused has its line in the log."""

import json
import os
import re
import time

from harness import SystemTest, main, now_ms, put_object, range_around

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "http-api.md")
HELP = re.compile(r"# HELP ([a-z_]+) (\S.*)")
TYPE = re.compile(r"# TYPE ([a-z_]+) (gauge|counter)")
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? (-?\d+(?:\.\d+)?)')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def parse(text):
    """{family: {labels: value}} of the text format 0.0.4; ValueError for what it does not allow."""
    families, kinds, current = {}, {}, None
    if not text.endswith("\n"):
        raise ValueError("no newline at the end")
    lines = iter(text.splitlines())
    for line in lines:
        about = HELP.fullmatch(line)
        if about:
            current = about.group(1)
            kind = TYPE.fullmatch(next(lines, ""))
            if kind is None or kind.group(1) != current or current in families:
                raise ValueError(f"{current}: HELP without its TYPE, or twice")
            families[current], kinds[current] = {}, kind.group(2)
            continue
        sample = SAMPLE.fullmatch(line)
        if sample is None or sample.group(1) != current:
            raise ValueError(f"no sample of {current}: {line}")
        labels = tuple(LABEL.findall(sample.group(2) or ""))
        if labels in families[current]:
            raise ValueError(f"twice: {line}")
        families[current][labels] = float(sample.group(3))
    for name, kind in kinds.items():
        if (kind == "counter") != name.endswith("_total"):
            raise ValueError(f"{name} is a {kind}")
    return families


def documented():
    with open(DOCUMENT, encoding="utf-8") as file:
        return set(re.findall(r"^\| `(utapi_[a-z_]+)", file.read(), re.M))


class Metrics(SystemTest):
    def scrape(self, server, target="/_/metrics"):
        connection = server.connect()
        connection.request("GET", target, headers={"Accept": CONTENT_TYPE})
        response = connection.getresponse()
        self.assertEqual((response.status, response.getheader("content-type")), (200, CONTENT_TYPE))
        text = response.read().decode("utf-8")
        connection.close()
        return parse(text)

    def await_log(self, server, words):
        deadline = time.monotonic() + 30
        while words not in server.log() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIn(words, server.log())

    def await_delivery(self, server):
        deadline = time.monotonic() + 30
        while True:
            families = self.scrape(server)
            is_delivered = families["utapi_journal_waiting_events"] == {(): 0}
            # The journal asks for the storage's figures now and then.
            if (is_delivered and families["utapi_storage_resources"][()] > 0) or time.monotonic() > deadline:
                return families
            time.sleep(0.05)

    def test_a_new_server_has_its_figures(self):
        with self.server(backend="memory") as server:
            families = self.scrape(server)
            self.assertEqual(families["utapi_healthy"], {(): 1})
            self.assertEqual(families["utapi_storage_resources"], {(): 0})
            self.assertEqual(families["utapi_http_requests_total"], {})
            self.assertEqual([name for ((name, version),) in families["utapi_build_info"] if version], ["version"])
            self.assertEqual(self.scrape(server, "/_/metrics?name=x")["utapi_healthy"], {(): 1})

    def test_every_outcome_is_counted_and_every_refusal_logged(self):
        with self.server(env={"UTAPI_JOURNAL": "true", "UTAPI_MAX_AMOUNT": "0"}) as server:
            when = now_ms()
            self.assertEqual(server.push([put_object("b", 1, when), put_object("c", 2, when)]), 200)
            bad = [put_object("b", 1, when), {**put_object("b", 1, when), "sizeDelta": "secret"}]
            for _ in range(3):
                self.assertEqual(server.push(bad), 400)
            server.list("buckets", ["b"], range_around(when))
            self.assertEqual(server.push([put_object("d", 2**63 - 1, when) for _ in range(2)]), 200)
            server.storage("buckets", "d")  # an answer that is cut
            self.assertEqual(server.push([put_object("b", 1, 1000)]), 200)  # from 1970: a dead letter
            self.await_log(server, "refused: events from 127.0.0.1: early: 1 became dead letters: older than limits.earliest")
            self.assertEqual(server.request("POST", "/buckets?Action=ListMetrics", b"{}")[0], 400)
            question = json.dumps({"buckets": ["b"], "timeRange": range_around(when)}).encode()
            self.assertEqual(server.request("POST", "/buckets?Action=ListMetrics", question)[0], 400)
            with self.assertRaises(AssertionError):
                server.list("buckets", ["b"], range_around(when), key=("accessKey1", "notTheSecret"))
            self.await_log(server, "refused: Ingest from 127.0.0.1: 400 InvalidParameterValue: events[1].sizeDelta")
            self.await_log(server, "refused: ListMetrics from 127.0.0.1: 403 SignatureDoesNotMatch: ")
            self.assertEqual(server.log().count("refused: Ingest"), 1)
            families = self.await_delivery(server)
            requests = families["utapi_http_requests_total"]
            self.assertEqual(requests[(("action", "Ingest"), ("code", "200"))], 3)
            self.assertEqual(requests[(("action", "Ingest"), ("code", "400"))], 3)
            self.assertEqual(requests[(("action", "ListMetrics"), ("code", "200"))], 1)
            self.assertEqual(requests[(("action", "ListMetrics"), ("code", "403"))], 1)
            self.assertEqual(families["utapi_events_total"][(("outcome", "accepted"),)], 5)
            self.assertEqual(families["utapi_events_total"][(("outcome", "refused"),)], 6)
            self.assertEqual(set(families), documented())
            for name, samples in families.items():
                if name not in ("utapi_journal_waiting_events", "utapi_storage_clock_skew_seconds"):
                    self.assertTrue(any(samples.values()), name)
        self.assertIn("refused: Ingest from 127.0.0.1: 400 InvalidParameterValue: 2 more in the last 10 s", server.log())
        for secret in ("notTheSecret", "secret", "Signature="):
            self.assertNotIn(secret, server.log())

    def test_strangers_are_denied_and_the_log_names_the_list(self):
        env = {"UTAPI_ALLOW_PROMETHEUS": "10.0.0.0/8", "UTAPI_ALLOW_INGEST": "10.0.0.0/8"}
        with self.server(backend="memory", env=env) as server:
            self.assertEqual(server.request("GET", "/_/metrics")[0], 403)
            self.assertEqual(server.push([put_object("b", 1)]), 403)
            self.await_log(server, "refused: GetMetrics from 127.0.0.1: 403 AccessDenied: "
                                   "the address is not in prometheus.allowFrom")  # fmt: skip
            self.await_log(server, "refused: Ingest from 127.0.0.1: 403 AccessDenied: "
                                   "the address is not in ingest.allowFrom")  # fmt: skip


if __name__ == "__main__":
    main()
