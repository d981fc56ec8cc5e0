# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out while requests are answered: each allocation of some requests fails once, in a server that goes on.

Whatever fails, the server lives, the request is answered by an error of the server or its connection is closed, nothing is
counted by halves or twice, and the same request is taken when it is repeated.
"""

import contextlib
import http.client
import json
import mmap
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from harness import SystemTest, main, now_ms, put_object, range_around, signed_headers  # noqa: E402
from harness import ACCESS_KEY, SECRET_KEY  # noqa: E402

MOST = 5000
LAST_QUIET = 3  # runs without a fault before the end is believed: other threads allocate too
HEADERS = {"Content-Type": "application/json"}


class MemoryFails(SystemTest):
    def setUp(self):
        super().setUp()
        path = os.path.join(self.folder, "counter")
        with open(path, "wb") as file:
            file.write(struct.pack("=i", 0))
        with open(path, "r+b") as file:
            self.counter = mmap.mmap(file.fileno(), 4)
        self.addCleanup(self.counter.close)
        self.environment = {
            "LD_PRELOAD": os.environ["UTAPI_FAULT_SHIM"], "UTAPI_FAULT": "memory:1:ENOMEM", "UTAPI_FAULT_COUNTER": path,
        }  # fmt: skip
        self.when = now_ms()
        self.expected = {"one": 0, "many": 0, "v1": 0}
        self.refused = 0

    def arm(self, nth):
        self.counter[:] = struct.pack("=i", nth)

    def disarm(self):
        """Whether the fault came."""
        left = struct.unpack("=i", self.counter[:])[0]
        self.arm(0)
        return left == 0

    def ask(self, utapid, method, target, body=b"", headers=None):
        """The status and the answer; None for a connection that was closed."""
        with contextlib.closing(utapid.connect()) as connection:
            try:
                connection.request(method, target, body, headers or {})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                self.assertIsNone(utapid.process.poll(), "utapid died")
                return None, b""

    def pushes(self):
        """Three requests: what they add to which bucket, where to, and their bodies."""
        v1 = {"action": "putObject", "timestamp": self.when}
        v1["params"] = {"bucket": "v1", "newByteLength": 3, "oldByteLength": None}
        v1["uuid"] = put_object("v1", 1)["uuid"]
        return [
            ("one", 7, "/v2/ingest", json.dumps([put_object("one", 7, self.when)])),
            ("many", 50, "/v2/ingest", json.dumps([put_object("many", 5, self.when) for _ in range(10)])),
            ("v1", 3, "/v1/push", json.dumps([v1])),
        ]

    def question(self, utapid):
        """The status of a signed question, whose answer must be right where there is one."""
        target = "/buckets?Action=ListMetrics"
        body = json.dumps({"buckets": list(self.expected), "timeRange": range_around(self.when)}).encode()
        headers = signed_headers("POST", f"127.0.0.1:{utapid.port}", target, body, ACCESS_KEY, SECRET_KEY)
        status, answer = self.ask(utapid, "POST", target, body, headers)
        if status == 200:
            stored = {each["bucketName"]: each["storageUtilized"][1] for each in json.loads(answer)}
            self.assertEqual(stored, self.expected)
        return status

    def check_refused(self, status):
        self.assertIn(status, (None, 500, 503), "neither an answer nor an error of the server")
        self.refused += 1

    def disturb_push(self, utapid, nth, push):
        bucket, size, target, body = push
        self.arm(nth)
        status, _ = self.ask(utapid, "POST", target, body.encode(), HEADERS)
        came = self.disarm()
        if status != 200:
            self.check_refused(status)
        self.assertEqual(self.ask(utapid, "POST", target, body.encode(), HEADERS)[0], 200, "a repeated request")
        self.expected[bucket] += size
        return came

    def disturb_question(self, utapid, nth):
        self.arm(nth)
        status = self.question(utapid)
        came = self.disarm()
        if status != 200:
            self.check_refused(status)
        return came

    def disturb_health(self, utapid, nth):
        self.arm(nth)
        status, _ = self.ask(utapid, "GET", "/_/healthcheck")
        came = self.disarm()
        if status != 200:
            self.check_refused(status)
        return came

    def sweep(self, utapid, name, disturb):
        """Disturbs at the first allocation, the second, ... until there is none left."""
        quiet = self.refused = 0
        for nth in range(1, MOST):
            came = disturb(nth)
            self.assertEqual(self.question(utapid), 200)
            quiet = 0 if came else quiet + 1
            if quiet == LAST_QUIET:
                self.assertGreater(self.refused, 0, "nothing was ever refused: no allocation failed")
                print(f"{name}: each of {nth - LAST_QUIET} allocations failed once")
                return
        self.fail(f"{name}: no end after {MOST} allocations")

    def live(self, **more):
        with self.server(env=self.environment | more) as utapid:
            for number, name in enumerate(("a single event", "a batch", "a V1 event")):
                self.sweep(utapid, name, lambda nth, n=number: self.disturb_push(utapid, nth, self.pushes()[n]))
            self.sweep(utapid, "a question", lambda nth: self.disturb_question(utapid, nth))
            self.sweep(utapid, "a healthcheck", lambda nth: self.disturb_health(utapid, nth))
        with self.server(env=more) as utapid:
            self.assertEqual(self.question(utapid), 200, "a question after a restart")

    def test_each_allocation_of_a_request_may_fail(self):
        self.live()

    def test_behind_a_journal_too(self):
        self.live(UTAPI_JOURNAL="true")


if __name__ == "__main__":
    main()
