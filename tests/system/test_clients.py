# SPDX-License-Identifier: Apache-2.0
"""Clients that sign in the ways that people use list what was pushed, at every level."""

import json
import os
import subprocess
import sys

from harness import (
    ACCESS_KEY, ACCOUNT_ID, HERE, LEVEL_MEMBERS, SECRET_KEY, SystemTest, figures, main, now_ms, put_object, range_around,
)  # fmt: skip

CLIENTS = os.path.join(HERE, "clients")
NODE_MODULES = os.environ.get("UTAPI_NODE_MODULES", os.path.join(HERE, "node_modules"))
# Debian's Python has Debian's botocore; the first python3 in the PATH may be another.
PYTHON_OF_DEBIAN = "/usr/bin/python3"

NAMES = {
    "buckets": ["photos", "films"], "accounts": [ACCOUNT_ID], "users": ["user-of-photos"], "service": ["s3"],
    "locations": ["us-east-1"],
}  # fmt: skip


class Clients(SystemTest):
    def setUp(self):
        super().setUp()
        self.when = now_ms()
        self.utapid = self.running_server()
        self.assertEqual(self.utapid.push([
            put_object("photos", 1000, self.when, user="user-of-photos", location="us-east-1"),
            put_object("photos", 24, self.when, user="user-of-photos", location="us-east-1"),
            put_object("films", 7, self.when, location="us-east-1"),
            {"operationId": "getObject", "bucket": "films", "outgoingBytes": 7, "timestamp": self.when},
        ]), 200)  # fmt: skip

    def ask(self, command, level, names, time_range, secret=SECRET_KEY):
        """(status, answer) as a client program saw them."""
        arguments = ["127.0.0.1", self.utapid.port, ACCESS_KEY, secret, level, *time_range, *names]
        env = {**os.environ, "NODE_PATH": NODE_MODULES}
        ran = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=60, check=False
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        status, _, body = ran.stdout.partition("\n")
        return int(status), json.loads(body)

    def lists_every_level(self, *command):
        stored = {"photos": 1024, "films": 7, ACCOUNT_ID: 1031, "user-of-photos": 1024, "s3": 1031, "us-east-1": 1031}
        time_range = range_around(self.when)
        for level, names in NAMES.items():
            with self.subTest(level=level):
                status, answers = self.ask(command, level, names, time_range)
                self.assertEqual(status, 200)
                self.assertEqual([answer[LEVEL_MEMBERS[level]] for answer in answers], names)
                for name, answer in zip(names, answers):
                    self.assertEqual(answer["timeRange"], time_range)
                    self.assertEqual(answer["storageUtilized"], [0, stored[name]])
                    self.assertEqual(answer["incomingBytes"], stored[name])
                self.assertEqual(answers, self.utapid.list(level, names, time_range))
        films = self.utapid.list("buckets", ["films"], time_range)[0]
        self.assertEqual(figures(films), {
            "storageUtilized": 7, "numberOfObjects": 1, "incomingBytes": 7, "outgoingBytes": 7,
            "operations": {"s3:PutObject": 1, "s3:GetObject": 1},
        })  # fmt: skip

    def refuses_a_wrong_secret(self, *command):
        status, answer = self.ask(command, "buckets", ["photos"], range_around(self.when), secret="wrongSecretKey1")
        self.assertEqual((status, answer["code"]), (403, "SignatureDoesNotMatch"))

    def works(self, *command):
        self.lists_every_level(*command)
        self.refuses_a_wrong_secret(*command)

    def test_javascript_with_aws4(self):
        if not os.path.isdir(os.path.join(NODE_MODULES, "aws4")):
            self.skip_or_fail("npm's aws4 is not installed")
        self.works("node", os.path.join(CLIENTS, "list_metrics.js"))

    def test_curl(self):
        self.works(os.path.join(CLIENTS, "list_metrics.sh"))

    def test_python_without_a_library(self):
        self.works(sys.executable, os.path.join(CLIENTS, "list_metrics.py"))

    def test_botocore(self):
        has_it = subprocess.run([PYTHON_OF_DEBIAN, "-c", "import botocore"], capture_output=True, check=False)
        if has_it.returncode != 0:
            self.skip_or_fail("python3-botocore is not installed")
        self.works(PYTHON_OF_DEBIAN, os.path.join(CLIENTS, "list_metrics_botocore.py"))


if __name__ == "__main__":
    main()
