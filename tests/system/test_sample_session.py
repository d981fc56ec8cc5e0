# SPDX-License-Identifier: Apache-2.0
"""The events of a real CloudServer session give the figures that were worked out by hand, at each level, however
they arrive: one request an event, all in one, through utapictl, repeated, or in the order of their uuids."""

import json
import os
import subprocess

from harness import SAMPLES, UTAPICTL, SystemTest, figures, main, range_around, server_environment

INGEST = os.path.join(SAMPLES, "cloudserver-v2-ingest.ndjson")
EXPECTED = os.path.join(SAMPLES, "cloudserver-v2-expected.json")


def requests():
    with open(INGEST, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class SampleSession(SystemTest):
    def setUp(self):
        super().setUp()
        self.requests = requests()
        self.events = [event for request in self.requests for event in request]
        self.utapid = self.running_server()

    def assert_expected(self):
        with open(EXPECTED, encoding="utf-8") as file:
            expected = json.load(file)
        time_range = range_around(*(event["timestamp"] for event in self.events))
        for key, wanted in expected.items():
            level, _, name = key.partition("/")
            with self.subTest(resource=key):
                (answer,) = self.utapid.list(level, [name], time_range)
                self.assertEqual(figures(answer), wanted)
                self.assertEqual(answer["storageUtilized"][0], 0)
                self.assertEqual(self.utapid.storage(level, name), wanted["storageUtilized"])

    def test_one_request_an_event(self):
        connection = self.utapid.connect()
        self.addCleanup(connection.close)
        for request in self.requests:
            self.assertEqual(self.utapid.push(request, connection), 200)
        self.assert_expected()

    def test_one_request_for_all_and_then_again(self):
        self.assertEqual(self.utapid.push(self.events), 200)
        self.assert_expected()
        self.assertEqual(self.utapid.push(self.events), 200)
        self.assert_expected()

    def test_in_the_order_of_uuids(self):
        """So a client repeats what failed (tests/samples/README.md): some of it was counted before."""
        self.assertEqual(self.utapid.push(self.events[10:40]), 200)
        self.assertEqual(self.utapid.push(sorted(self.events, key=lambda event: event["uuid"])), 200)
        self.assert_expected()

    def test_through_utapictl(self):
        pushed = subprocess.run(
            [UTAPICTL, "push", "-h", "127.0.0.1", "-p", str(self.utapid.port), INGEST],
            capture_output=True, text=True, env=server_environment(), timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(pushed.returncode, 0, pushed.stderr)
        self.assert_expected()
        with open(EXPECTED, encoding="utf-8") as file:
            expected = json.load(file)
        listed = subprocess.run(
            [UTAPICTL, "list", "-h", "127.0.0.1", "-p", str(self.utapid.port), "-a", "accessKey1",
             "-k", "verySecretKey1", "-m", "buckets", "--buckets", "wl-plain,wl-ver", "-s", "2023-11-14",
             "-e", "2023-11-16", "--json"],
            capture_output=True, text=True, env=server_environment(), timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(listed.returncode, 0, listed.stderr)
        answers = json.loads(listed.stdout)
        self.assertEqual([answer["bucketName"] for answer in answers], ["wl-plain", "wl-ver"])
        for answer in answers:
            self.assertEqual(figures(answer), expected["buckets/" + answer["bucketName"]])


if __name__ == "__main__":
    main()
