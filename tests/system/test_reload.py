# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: what is read again takes effect, as a whole or not at all, and no request notices."""

import json
import os
import re
import signal
import threading

from harness import ACCESS_KEY, AUTH_FILE, ROOT, SECRET_KEY, SystemTest, main, now_ms, put_object, range_around
from redis_server import wait_for


class Reload(SystemTest):
    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.folder, "utapid.json")
        self.authdata = os.path.join(self.folder, "authdata.json")
        with open(AUTH_FILE, encoding="utf-8") as file:
            self.accounts = json.load(file)
        self.write_accounts(self.accounts)
        self.write({})

    def write(self, settings, text=None):
        with open(self.file + ".new", "w", encoding="utf-8") as file:
            file.write(text if text is not None else json.dumps({"auth": {"file": self.authdata}, **settings}))
        os.replace(self.file + ".new", self.file)

    def write_accounts(self, accounts):
        with open(self.authdata + ".new", "w", encoding="utf-8") as file:
            json.dump(accounts, file)
        os.replace(self.authdata + ".new", self.authdata)

    def started(self, **options):
        return self.server("--config", self.file, auth_file=None, **options)

    def hang_up(self, server, words="SIGHUP: the configuration was read again"):
        seen = server.log().count(words)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.log().count(words) > seen, words)

    def test_lists_of_addresses_and_limits_take_effect(self):
        with self.started() as server:
            event = [put_object("b", 1000)]
            routes = {"ingest": ("POST", "/v2/ingest", json.dumps(event)), "storage": ("GET", "/v2/storage/buckets/b", b""),
                      "prometheus": ("GET", "/_/metrics", b""), "ready": ("GET", "/_/ready", b""), "openapi": ("GET", "/openapi.json", b"")}  # fmt: skip
            for name, request in routes.items():
                self.assertNotEqual(server.request(*request)[0], 403, name)
                self.write({name: {"allowFrom": ["10.0.0.1"]}})
                self.hang_up(server)
                self.assertEqual(server.request(*request)[0], 403, name)
            self.write({"ready": {"minFree": 100}, "limits": {"maxAmount": 10, "maxNames": 1}})
            self.hang_up(server)
            self.assertEqual(json.loads(server.request("GET", "/_/ready")[1])["reasons"], ["less than 100 % of the disk is left"])
            self.assertEqual(server.push([put_object("b", 11)]), 200)
            self.assertEqual(json.loads(server.request("GET", "/_/dead-letters")[1])["kept"], 1)
            with self.assertRaisesRegex(AssertionError, "413|400"):
                server.list("buckets", ["a", "b"], range_around(now_ms()))

    def test_identities_and_the_level_of_the_log_take_effect(self):
        with self.started() as server:
            when = range_around(now_ms())
            self.assertEqual(len(server.list("buckets", ["b"], when)), 1)
            fewer = json.loads(json.dumps(self.accounts).replace(ACCESS_KEY, "anotherKey"))
            self.write_accounts(fewer)
            self.assertEqual(len(server.list("buckets", ["b"], when)), 1)  # until it is told
            self.write({"log": {"logLevel": "debug"}})
            self.hang_up(server)
            with self.assertRaisesRegex(AssertionError, "InvalidAccessKeyId"):
                server.list("buckets", ["b"], when)
            self.assertEqual(len(server.list("buckets", ["b"], when, key=("anotherKey", SECRET_KEY))), 1)
            self.assertIn('"level":"debug"', server.log())

    def test_a_file_that_is_wrong_changes_nothing(self):
        with self.started() as server:
            for text, words in ((None, "no such key"), ("{", "line 1"), ('{"auth": {"file": "/none"}}', "/none")):
                self.write({"ingest": {"allowFrom": ["10.0.0.1"]}, "prot": 1}, text)
                self.hang_up(server, "SIGHUP: all stays as it was: ")
                self.assertRegex(server.log().splitlines()[-1], words)
                self.assertEqual(server.push([put_object("b", 1)]), 200)

    def test_what_wants_a_restart_is_named(self):
        with self.started() as server:
            self.write({"workers": 7, "limits": {"maxEvents": 5, "maxNames": 6}, "component": "s4"})
            self.hang_up(server, "SIGHUP: these want a restart, and stay as they were: ")
            self.assertRegex(server.log().splitlines()[-1], r"they were: workers, component, limits\.maxEvents\"")

    def test_the_document_lists_what_is_read_again(self):
        with open(os.path.join(ROOT, "api", "config", "keys.def"), encoding="utf-8") as file:
            rows = file.read().split("{.path = ")[1:]
        live = {row.split('"')[1] for row in rows if ".is_live = true" in row}
        with open(os.path.join(ROOT, "docs", "configuration.md"), encoding="utf-8") as file:
            section = file.read().split("## Changing it while utapid runs")[1].split("\n## ")[0]
        told = section.split("What is read again:")[1].split("Any other key")[0]
        self.assertEqual(set(re.findall(r"`([\w.]+)`", told)), live)

    def test_a_hundred_reloads_under_load(self):
        over, lost, pushed, listed = threading.Event(), [], [0] * 3, []

        def push(number):
            while not over.is_set():
                try:
                    if server.push([put_object(f"b{number}", 1)]) != 200:
                        lost.append("push")
                    pushed[number] += 1
                except OSError as error:
                    lost.append(error)

        def ask():
            while not over.is_set():
                try:
                    listed.append(len(server.list("buckets", ["b0", "b1"], range_around(now_ms()))))
                except (OSError, AssertionError) as error:
                    lost.append(error)

        with self.started() as server:
            threads = [threading.Thread(target=push, args=(number,)) for number in range(3)] + [threading.Thread(target=ask)]
            for thread in threads:
                thread.start()
            for number in range(100):
                self.write({"limits": {"maxNames": 100 + number}, "ready": {"maxDelay": 100 + number}})
                self.hang_up(server)
            over.set()
            for thread in threads:
                thread.join()
            self.assertEqual(lost, [])
            self.assertGreater(min(pushed), 100)
            self.assertEqual(set(listed), {2})
            for number, count in enumerate(pushed):
                self.assertEqual(server.storage("buckets", f"b{number}"), count)


if __name__ == "__main__":
    main()
