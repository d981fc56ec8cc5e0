# SPDX-License-Identifier: Apache-2.0
"""A disk that is full for a while: the server says so, answers questions meanwhile, and goes on by itself."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from flowing import health, settle  # noqa: E402
from harness import SystemTest, main, now_ms, put_object, range_around  # noqa: E402
from redis_server import wait_for  # noqa: E402


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

    def test_a_journal_and_its_storage_on_one_full_disk_say_so_too(self):
        self.fill("lmdb", {"UTAPI_JOURNAL": "true"})

    def test_a_journal_takes_and_counts_what_its_full_storage_cannot(self):
        switch = os.path.join(self.folder, "full")
        when = now_ms()
        with self.server(env=self.environment("lmdb/data.mdb", switch) | {"UTAPI_JOURNAL": "true"}) as utapid:
            with open(switch, "w", encoding="utf-8"):
                pass
            for number in range(1, 6):
                self.assertEqual(utapid.push([put_object("b", 7, when)]), 200)
                (answer,) = utapid.list("buckets", ["b"], range_around(when))
                self.assertEqual(answer["storageUtilized"][1], 7 * number)
            wait_for(lambda: "No space left on device" in health(utapid).get("trouble", ""), "word of the full disk")
            self.assertEqual(health(utapid)["journal"]["waiting"], 5)
            os.unlink(switch)
            settle(utapid)
            (answer,) = utapid.list("buckets", ["b"], range_around(when))
            self.assertEqual(answer["storageUtilized"][1], 7 * 5)

    def environment(self, path, switch):
        return {
            "LD_PRELOAD": os.environ["UTAPI_FAULT_SHIM"],
            "UTAPI_FAULT_SWITCH": switch,
            "UTAPI_FAULT_DIR": os.path.join(os.path.realpath(self.folder), path),
        }

    def fill(self, folder, settings):
        switch = os.path.join(self.folder, "full")
        when = now_ms()
        with self.server(env=settings | self.environment(folder, switch)) as utapid:
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
