# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, starting again: what was taken is there, one process owns the data, SIGTERM loses nothing."""

import http.client
import os
import subprocess
import threading
import time

from harness import (
    AUTH_FILE, UTAPID, SystemTest, main, now_ms, put_object, range_around, server_environment,
)  # fmt: skip


class Lifecycle(SystemTest):
    def test_data_outlive_a_restart(self):
        when = now_ms()
        repeated = put_object("kept", 11, when)
        with self.server() as utapid:
            self.assertEqual(utapid.push([repeated, put_object("kept", 31, when)]), 200)
        with self.server() as utapid:
            (answer,) = utapid.list("buckets", ["kept"], range_around(when))
            self.assertEqual((answer["storageUtilized"], answer["numberOfObjects"]), ([0, 42], [0, 2]))
            self.assertEqual(utapid.push([repeated]), 200)
            self.assertEqual(utapid.storage("buckets", "kept"), 42)

    def test_a_second_server_on_the_same_data_refuses_to_start(self):
        with self.server() as utapid:
            second = subprocess.run(
                [UTAPID, "--port", "0", "--data", os.path.join(self.folder, "lmdb"), "--auth-file", AUTH_FILE],
                capture_output=True, text=True, env=server_environment(), timeout=60, check=False,
            )  # fmt: skip
            self.assertNotEqual(second.returncode, 0)
            self.assertGreater(second.returncode, 0, "it must not end by a signal")
            self.assertIn(os.path.join(self.folder, "lmdb"), second.stdout + second.stderr)
            self.assertEqual(utapid.push([put_object("still", 1)]), 200)

    def test_a_taken_port_is_said(self):
        with self.server() as utapid:
            second = subprocess.run(
                [UTAPID, "--port", str(utapid.port), "--backend", "memory", "--auth-file", AUTH_FILE],
                capture_output=True, text=True, env=server_environment(), timeout=60, check=False,
            )  # fmt: skip
            self.assertGreater(second.returncode, 0)
            self.assertIn(str(utapid.port), second.stdout + second.stderr)

    def test_the_memory_backend_serves_too(self):
        with self.server(backend="memory") as utapid:
            self.assertEqual(utapid.push([put_object("brief", 5)]), 200)
            self.assertEqual(utapid.storage("buckets", "brief"), 5)

    def test_sigterm_amid_pushes_loses_nothing_acknowledged(self):
        acknowledged, sent = [0] * 8, [0] * 8

        def push_until_refused(utapid, number):
            connection = utapid.connect()
            try:
                while True:
                    sent[number] += 1
                    if utapid.push([put_object(f"bucket-{number}", 1)], connection) != 200:
                        break
                    acknowledged[number] += 1
            except (OSError, http.client.HTTPException):
                pass
            connection.close()

        for _ in range(3):
            utapid = self.server()
            threads = [threading.Thread(target=push_until_refused, args=(utapid, number)) for number in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            self.assertEqual(utapid.stop(), 0)
            for thread in threads:
                thread.join()
        with self.server() as utapid:
            for number in range(8):
                stored = utapid.storage("buckets", f"bucket-{number}")
                self.assertLessEqual(acknowledged[number], stored)
                self.assertLessEqual(stored, sent[number])
        self.assertGreater(sum(acknowledged), 0)

    def test_sigterm_ends_idle_connections(self):
        utapid = self.server()
        connections = [utapid.connect() for _ in range(20)]
        for connection in connections:
            self.assertEqual(utapid.request("GET", "/_/healthcheck", connection=connection)[0], 200)
        begun = time.monotonic()
        self.assertEqual(utapid.stop(), 0)
        self.assertLess(time.monotonic() - begun, 10)
        for connection in connections:
            connection.close()


if __name__ == "__main__":
    main()
