# SPDX-License-Identifier: Apache-2.0
"""GET /_/metrics as Prometheus reads it: the format by a parser of our own, every family that the document lists, and
none that stays zero after every outcome occurred once. What is refused has its line in the log."""

import json
import os
import re
import subprocess
import time

from harness import UTAPICTL, SystemTest, main, now_ms, put_object, range_around

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "metrics.md")
HELP = re.compile(r"# HELP ([a-z_]+) (\S.*)")
TYPE = re.compile(r"# TYPE ([a-z_]+) (gauge|counter|histogram)")
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? (-?\d+(?:\.\d+)?)')
PROMTOOL = os.environ.get("UTAPI_PROMTOOL", "promtool")
METRICS = os.path.join(os.path.dirname(DOCUMENT), "metrics")
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
# Zero while nothing waits and nothing was lost: other tests make them more.
AT_REST = {"utapi_journal_waiting_events", "utapi_storage_clock_skew_seconds", "utapi_queue_events",
           "utapi_journal_oldest_age_seconds", "utapi_journal_lost_events_total"}  # fmt: skip
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
        name = sample and re.sub(r"_(bucket|sum|count)$", "", sample.group(1)) if kinds.get(current) == "histogram" else sample and sample.group(1)
        if sample is None or name != current:
            raise ValueError(f"no sample of {current}: {line}")
        labels = tuple(LABEL.findall(sample.group(2) or ""))
        if kinds[current] == "histogram":
            labels += (("part", sample.group(1)[len(current) + 1 :]),)
        if labels in families[current]:
            raise ValueError(f"twice: {line}")
        families[current][labels] = float(sample.group(3))
    for name, kind in kinds.items():
        if (kind == "counter") != name.endswith("_total"):
            raise ValueError(f"{name} is a {kind}")
    return families


def documented():
    with open(DOCUMENT, encoding="utf-8") as file:
        return set(re.findall(r"^\| `((?:utapi|process)_[a-z_]+)", file.read(), re.M))


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
            known = [put_object("b", 1, when), put_object("c", 2, when)]
            self.assertEqual(server.push(known), 200)
            self.assertEqual(server.push([*known, put_object("b", 1, when - 7_200_000)]), 200)
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
            self.assertEqual(requests[(("action", "Ingest"), ("code", "200"))], 4)
            self.assertEqual(requests[(("action", "Ingest"), ("code", "400"))], 3)
            self.assertEqual(requests[(("action", "ListMetrics"), ("code", "200"))], 1)
            self.assertEqual(requests[(("action", "ListMetrics"), ("code", "403"))], 1)
            self.assertEqual(families["utapi_events_total"][(("outcome", "accepted"),)], 8)
            self.assertEqual(families["utapi_events_repeated_total"], {(): 2})
            here = (("source", "127.0.0.1"),)
            self.assertEqual(families["utapi_source_events_total"], {here: 8})
            self.assertEqual(families["utapi_source_late_events_total"], {here: 2})
            self.assertGreater(families["utapi_source_lateness_max_seconds"][here], 10**9)
            self.assertAlmostEqual(families["utapi_source_last_event_timestamp_seconds"][here], now_ms() / 1000, delta=60)
            took = families["utapi_http_request_duration_seconds"]
            self.assertEqual(took[(("action", "Ingest"), ("part", "count"))], sum(count for (action, _), count in requests.items() if action[1] == "Ingest"))
            self.assertEqual(took[(("action", "Ingest"), ("le", "+Inf"), ("part", "bucket"))], took[(("action", "Ingest"), ("part", "count"))])
            self.assertEqual(families["utapi_commit_events_total"], {(): 8})
            self.assertEqual(families["utapi_events_total"][(("outcome", "refused"),)], 6)
            self.assertEqual(set(families), documented() - {"utapi_certificate_expiry_timestamp_seconds"})  # test_tls.py
            for name, samples in families.items():
                if name not in AT_REST:
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

    def promtool(self, *arguments, text=None):
        """Runs Prometheus' own tool: what it says of a scrape, of rules."""
        try:
            ran = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, timeout=120, check=False)
        except FileNotFoundError:
            self.skip_or_fail("promtool is not there")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout + ran.stderr

    def test_prometheus_takes_a_scrape(self):
        with self.server(env={"UTAPI_JOURNAL": "true"}) as server:
            self.assertEqual(server.push([put_object("b", 1)]), 200)
            self.await_delivery(server)
            self.assertEqual(self.promtool("check", "metrics", text=server.request("GET", "/_/metrics")[1].decode()), "")

    def test_alerts_fire_when_they_should_and_not_before(self):
        self.promtool("check", "rules", os.path.join(METRICS, "rules.yml"))
        self.promtool("test", "rules", os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules_test.yml"))

    def test_alerts_and_dashboards_name_families_that_there_are(self):
        names = documented()
        names |= {name + part for name in names for part in ("_bucket", "_sum", "_count")}
        for name in sorted(set(os.listdir(METRICS)) - {"README.md"}):
            with open(os.path.join(METRICS, name), encoding="utf-8") as file:
                text = file.read()
            used = set(re.findall(r"\b(?:utapi|process)_[a-z_]+", text))
            self.assertTrue(used, name)
            self.assertLessEqual(used, names, name)
            if name.endswith(".json"):
                panels = json.loads(text)["panels"]
                self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        with open(os.path.join(METRICS, "rules.yml"), encoding="utf-8") as rules, open(DOCUMENT, encoding="utf-8") as document:
            alerts, told = set(re.findall(r"alert: (\w+)", rules.read())), set(re.findall(r"\bUtapid\w+", document.read()))
        self.assertEqual(alerts, told)


class Status(SystemTest):
    def utapictl(self, server, *arguments):
        ran = subprocess.run([UTAPICTL, "status", "-p", str(server.port), *arguments], capture_output=True, text=True, timeout=60, check=False)
        return ran.returncode, ran.stdout, ran.stderr

    def test_all_is_well(self):
        with self.server(env={"UTAPI_READY_MIN_FREE": "0"}) as server:
            self.assertEqual(server.push([put_object("b", 1, now_ms() - 7_200_000)]), 200)
            status, body = server.request("GET", "/_/ready")
            self.assertEqual((status, json.loads(body)), (200, {"ready": True, "reasons": [], "deadLetters": 0}))
            code, shown, _ = self.utapictl(server)
            self.assertEqual(code, 0)
            for words in (r"status +ok", r"storage +lmdb: 3 resources, 3 rows, .* used", r"events +1 accepted", r"disk +.* free",
                          r"127\.0\.0\.1 +1 +1 +0 s +2 h"):  # fmt: skip
                self.assertRegex(shown, words)
            code, shown, _ = self.utapictl(server, "-o", "json")
            self.assertEqual((code, json.loads(shown)["events"]["accepted"]), (0, 1))

    def test_what_is_not_well_is_told_everywhere(self):
        env = {"UTAPI_READY_MIN_FREE": "100"}
        with self.server(env=env) as server:
            self.assertEqual(server.push([put_object("b", 1, 1000)]), 200)  # a dead letter
            self.assertEqual(server.push([{"operationId": 7}]), 400)
            status, body = server.request("GET", "/_/ready")
            self.assertEqual((status, json.loads(body)["reasons"]), (503, ["less than 100 % of the disk is left"]))
            code, shown, _ = self.utapictl(server)
            self.assertEqual(code, 3)
            self.assertRegex(shown, r"status +degraded\nnot ready +less than 100 % of the disk is left\n")
            self.assertRegex(shown, r"dead letters +1 \(utapictl dead-letters list\)\nlast refusal +0 s ago\n +Ingest from 127\.0\.0\.1: 400 ")
            self.assertIn("\nutapi_ready 0\n", server.request("GET", "/_/metrics")[1].decode())
            self.assertEqual(server.request("GET", "/_/healthcheck")[0], 200)

    def test_a_storage_that_is_away_makes_it_unready(self):
        with self.server("--redis", "redis://127.0.0.1:1", backend=None, env={"UTAPI_READY_MIN_FREE": "0", "UTAPI_READY_MAX_DELAY": "1"}) as server:
            self.assertEqual(server.push([put_object("b", 1)]), 200)
            deadline = time.monotonic() + 30
            reasons = []
            while len(reasons) < 2 and time.monotonic() < deadline:
                status, body = server.request("GET", "/_/ready")
                reasons = json.loads(body)["reasons"]
                time.sleep(0.1)
            self.assertEqual(status, 503)
            self.assertRegex(reasons[0], "the storage is not well: .*127.0.0.1:1")
            self.assertRegex(reasons[1], r"the oldest event has waited for \d+ s")
            code, shown, _ = self.utapictl(server)
            self.assertEqual(code, 3)
            self.assertRegex(shown, r"journal +1 wait, the oldest for \d+ s; ")

    def test_head_is_get_without_a_body(self):
        with self.server(env={"UTAPI_READY_MIN_FREE": "0"}) as server:
            for path in ("/_/healthcheck", "/_/ready"):
                self.assertEqual(server.request("HEAD", path), (200, b""))

    def test_nobody_listens_or_another_program_does(self):
        with self.server() as server:
            pass
        code, _, said = self.utapictl(server)
        self.assertEqual(code, 5, said)


if __name__ == "__main__":
    main()
