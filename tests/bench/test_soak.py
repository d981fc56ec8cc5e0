# SPDX-License-Identifier: Apache-2.0
"""The soak: a few seconds on each storage, and what it calls flat.

    UTAPID=... python3 test_soak.py
"""

import json
import os
import sys
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import soak  # noqa: E402
from redis_server import REDIS_SERVER  # noqa: E402

TOO_SHORT = ["too short to judge: at least 40 seconds are needed"]


def judged(*quarters):
    """What is said of samples (MiB, files, ms), two in each quarter."""
    gauge = soak.Gauge(os.getpid())
    gauge.samples = [(mib * soak.MIB, files, ms) for mib, files, ms in quarters for _ in range(2)]
    return soak.verdict(gauge)


class Soak(unittest.TestCase):
    def test_every_event_is_counted_once_on_each_storage(self):
        for storage in soak.STORAGES:
            if storage == "redis" and REDIS_SERVER is None:
                continue
            with self.subTest(storage), mock.patch.object(soak.Client, "open", autospec=True, side_effect=soak.Client.open) as opened:
                with mock.patch.multiple(soak, RECONNECTED=0.2, REPEATED=0.3):
                    count, wrong = soak.soak(storage, 3)
                self.assertEqual(wrong, TOO_SHORT)
                self.assertGreater(count, 0)
                self.assertGreater(opened.call_count, soak.PUSHING + soak.LISTING + 1)

    def test_events_pause_while_too_many_wait_in_the_journal(self):
        async def look(waiting):
            gate = soak.asyncio.Event()
            gate.set()
            client = mock.AsyncMock()
            client.ask.return_value = json.dumps({"journal": {"waiting": waiting}}).encode()
            looking = soak.asyncio.ensure_future(soak.open_gate_until(gate, client, soak.time.monotonic() + 0.3))
            await soak.asyncio.sleep(0.1)
            is_open = gate.is_set()
            await looking
            return is_open, gate.is_set()

        self.assertEqual(soak.asyncio.run(look(soak.WAITING_MOST)), (True, True))
        self.assertEqual(soak.asyncio.run(look(soak.WAITING_MOST + 1)), (False, True))

    @unittest.skipIf(REDIS_SERVER is None, "no redis-server")
    def test_a_redis_is_one_of_its_own(self):
        with mock.patch.object(soak, "Server") as server, mock.patch.object(soak, "Redis") as redis:
            redis.return_value.start.return_value.uri = "redis+unix:///its/own"
            with soak.server_on("redis", "/folder"):
                pass
        redis.assert_called_once_with("/folder")
        self.assertEqual(server.call_args.kwargs["env"], {"UTAPI_REDIS_URL": "redis+unix:///its/own"})

    def test_a_journal_is_switched_on(self):
        with mock.patch.object(soak, "Server") as server, soak.server_on("journal+lmdb", "/folder"):
            pass
        self.assertEqual(server.call_args.kwargs["env"], {"UTAPI_JOURNAL_ENABLED": "true"})
        self.assertEqual(server.call_args.kwargs["backend"], "lmdb")

    def test_memory_is_flat_within_a_tenth_and_four_mebibytes(self):
        settled = (100, 50, 5)
        self.assertEqual(judged((10, 50, 5), settled, settled, (113, 50, 5)), [])
        self.assertIn("memory", judged((10, 50, 5), settled, settled, (115, 50, 5))[0])

    def test_open_files_and_latency_are_looked_at_too(self):
        settled = (100, 50, 5)
        self.assertIn("open files", judged(settled, settled, settled, (100, 55, 5))[0])
        self.assertIn("p99", judged(settled, settled, settled, (100, 50, 31))[0])


if __name__ == "__main__":
    unittest.main()
