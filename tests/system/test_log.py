# SPDX-License-Identifier: Apache-2.0
"""What the log tells: at start and at the end, and of each request where that is asked for. Never a secret."""

import json
import re

from harness import ACCESS_KEY, SECRET_KEY, SystemTest, main, now_ms, put_object, range_around


def lines(server):
    """The JSON lines of a server's log."""
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


class Log(SystemTest):
    def test_the_first_line_says_what_runs_and_the_last_why_it_ended(self):
        env = {"UTAPI_ALLOW_INGEST": "10.0.0.0/8, ::1, fd00::/8", "UTAPI_LOG_TIME": "iso"}
        with self.server(env=env) as server:
            started = next(line for line in lines(server) if line["message"] == "started")
            self.assertEqual((started["message"], started["level"]), ("started", "info"))
            self.assertEqual(started["address"], f"127.0.0.1:{server.port}")
            self.assertEqual((started["backend"], started["journal"]), ("lmdb", "off"))
            self.assertEqual(started["storage"], server.command[server.command.index("--data") + 1])
            self.assertEqual(started["ingest"], "10.0.0.0/8, ::1, fd00::/8")
            self.assertEqual(started["prometheus"], "127.0.0.0/8, ::1".replace("127.0.0.0", "127.0.0.1"))
            self.assertEqual(started["admin"], "through admin.sock alone")
            self.assertRegex(started["version"], r"^\d+\.\d+\.\d+$")
            self.assertRegex(started["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(started["maxConnections"], 4096)
        stopping, stopped = lines(server)[-2:]
        self.assertEqual(stopping["message"], "SIGTERM: shutting down")
        self.assertRegex(stopped["message"], r"^stopped after \d+\.\d s$")

    def test_a_password_is_not_in_the_first_line(self):
        with self.server("--redis", "redis://somebody:secretword@127.0.0.1:1/3", backend=None) as server:
            started = next(line for line in lines(server) if line["message"] == "started")
            self.assertEqual((started["backend"], started["storage"]), ("redis", "127.0.0.1:1/3"))
        self.assertNotIn("secretword", server.log())

    def test_each_request_has_a_line_where_that_is_asked_for(self):
        with self.server(env={"UTAPI_LOG_ACCESS": "true", "UTAPI_LOG_LEVEL": "error"}) as server:
            body = [put_object("photos", 1)]
            self.assertEqual(server.push(body), 200)
            server.list("buckets", ["photos"], range_around(now_ms()))
            with self.assertRaises(AssertionError):
                server.list("buckets", ["photos"], range_around(now_ms()), key=(ACCESS_KEY, "another"))
            self.assertEqual(server.request("GET", "/v2/storage/buckets/a%0Ab?X-Amz-Signature=hidden")[0], 200)
        seen = [line for line in lines(server) if line["message"] == "access"]
        seen.sort(key=lambda line: (line["path"], line["status"]))  # each worker writes its own
        self.assertEqual([(line["action"], line["method"], line["path"], line["status"], line["key"]) for line in seen], [
            ("ListMetrics", "POST", "/buckets", 200, ACCESS_KEY),
            ("ListMetrics", "POST", "/buckets", 403, ""),
            ("Ingest", "POST", "/v2/ingest", 200, ""),
            ("GetStorage", "GET", "/v2/storage/buckets/a%0Ab", 200, ""),
        ])  # fmt: skip
        self.assertEqual(seen[2]["bytes_in"], len(json.dumps(body).encode()))
        self.assertGreater(seen[0]["bytes_out"], 100)
        for line in seen:
            self.assertEqual(line["client"], "127.0.0.1")
            self.assertGreaterEqual(line["ms"], 0)
            self.assertRegex(line["req_id"], r"^[0-9a-f]{20}$")
        for secret in (SECRET_KEY, "Signature", "hidden", "photos"):
            self.assertIsNone(re.search(secret, server.log()), secret)

    def test_without_being_asked_it_does_not(self):
        with self.server() as server:
            self.assertEqual(server.push([put_object("photos", 1)]), 200)
        self.assertEqual([line["message"] for line in lines(server) if line["message"] == "access"], [])


if __name__ == "__main__":
    main()
