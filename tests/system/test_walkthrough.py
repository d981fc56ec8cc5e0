# SPDX-License-Identifier: Apache-2.0
"""Utapi's own walkthrough for CloudServer, with a client written as its instructions write it: a bucket is
made twice, 100 MiB are put into it, and a range that starts earlier is listed, on Utapi's port if it is free."""

import json
import os
import socket
import subprocess
import time

from harness import (
    ACCESS_KEY, CANONICAL_ID, HERE, INTERVAL_MS, SECRET_KEY, SystemTest, interval_of, main, now_ms,
)  # fmt: skip

UTAPI_PORT = 8100
NODE_MODULES = os.environ.get("UTAPI_NODE_MODULES", os.path.join(HERE, "node_modules"))
SIZE = 100 * 1024 * 1024


def port_to_use():
    """8100, unless somebody has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", UTAPI_PORT))
            return UTAPI_PORT
        except OSError:
            return 0


def event(action, **params):
    return {"action": action, "reqUid": "walkthrough", "timestamp": now_ms(),
            "params": {"bucket": "utapi-bucket", "accountId": CANONICAL_ID, **params}}  # fmt: skip


class Walkthrough(SystemTest):
    def test_two_create_bucket_and_one_put_of_100_mib(self):
        if not os.path.isdir(os.path.join(NODE_MODULES, "aws4")):
            self.skip_or_fail("npm's aws4 is not installed")
        utapid = self.running_server(port=port_to_use())
        print(f"port {utapid.port}" + ("" if utapid.port == UTAPI_PORT else f" ({UTAPI_PORT} is taken)"))
        for pushed in (
            event("createBucket"),
            event("createBucket"),
            event("putObject", newByteLength=SIZE, oldByteLength=None),
        ):
            self.assertEqual(utapid.push(pushed, path="/v1/push"), 200)

        start = interval_of(now_ms()) - 30 * 96 * INTERVAL_MS
        end = interval_of(int(time.time() * 1000)) + INTERVAL_MS - 1
        ran = subprocess.run(
            ["node", os.path.join(HERE, "clients", "list_metrics.js"), "localhost", str(utapid.port), ACCESS_KEY,
             SECRET_KEY, "buckets", str(start), str(end), "utapi-bucket"],
            # Newer versions of Node may try ::1 for "localhost", where nobody listens.
            env={**os.environ, "NODE_PATH": NODE_MODULES, "NODE_OPTIONS": "--dns-result-order=ipv4first"},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        status, _, body = ran.stdout.partition("\n")
        self.assertEqual(status, "200", body)
        (answer,) = json.loads(body)
        self.assertEqual(answer["timeRange"], [start, end])
        self.assertEqual(answer["storageUtilized"], [0, 104857600])
        self.assertEqual(answer["incomingBytes"], 104857600)
        self.assertEqual(answer["outgoingBytes"], 0)
        self.assertEqual(answer["numberOfObjects"], [0, 1])
        counted = {name: count for name, count in answer["operations"].items() if count}
        self.assertEqual(counted, {"s3:CreateBucket": 2, "s3:PutObject": 1})
        self.assertEqual(answer["bucketName"], "utapi-bucket")
        self.assertEqual(list(answer)[-1], "bucketName")


if __name__ == "__main__":
    main()
