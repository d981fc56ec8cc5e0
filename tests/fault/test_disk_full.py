# SPDX-License-Identifier: Apache-2.0
"""A disk that is full for a while: the server says so, answers questions meanwhile, and goes on by itself."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from harness import SystemTest, main, now_ms, put_object, range_around  # noqa: E402


class DiskFull(SystemTest):
    def push_for_headers(self, utapid, event):
        connection = utapid.connect()
        connection.request("POST", "/v2/ingest", json.dumps([event]), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheader("Retry-After"), body

    def test_a_full_disk_is_said_and_survived(self):
        self.fill("lmdb", {})

    def test_a_journal_on_a_full_disk_says_so_too(self):
        self.fill("lmdb/journal", {"UTAPI_JOURNAL": "true"})

    def fill(self, folder, settings):
        switch = os.path.join(self.folder, "full")
        when = now_ms()
        environment = settings | {
            "LD_PRELOAD": os.environ["UTAPI_FAULT_SHIM"],
            "UTAPI_FAULT_SWITCH": switch,
            "UTAPI_FAULT_DIR": os.path.join(os.path.realpath(self.folder), folder),
        }
        with self.server(env=environment) as utapid:
            self.assertEqual(utapid.push([put_object("b", 5, when)]), 200)
            for round_ in range(3):
                waiting = put_object("b", 7, when)
                with open(switch, "w", encoding="utf-8"):
                    pass
                for _ in range(5):
                    status, retry_after, body = self.push_for_headers(utapid, waiting)
                    self.assertEqual(status, 503)
                    self.assertGreaterEqual(int(retry_after), 1)
                    self.assertEqual(json.loads(body)["code"], "ServiceUnavailable")
                    self.assertIn("No space left on device", json.loads(body)["message"])
                    (answer,) = utapid.list("buckets", ["b"], range_around(when))
                    self.assertEqual(answer["storageUtilized"][1], 5 + 7 * round_)
                os.unlink(switch)
                self.assertEqual(utapid.push([waiting]), 200)
                (answer,) = utapid.list("buckets", ["b"], range_around(when))
                self.assertEqual(answer["storageUtilized"][1], 5 + 7 * (round_ + 1))


if __name__ == "__main__":
    main()
