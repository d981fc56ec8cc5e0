# SPDX-License-Identifier: Apache-2.0
"""What earlier versions left behind (v0.1/README.md, format-2/README.md) is taken over: every question is answered as they
answered it themselves."""

import subprocess

import takeover
from harness import UTAPICTL, SystemTest, main, server_environment
from redis_server import REDIS_SERVER, Redis, wait_for
from takeover import clock_at

SOON_MS = 60_000  # after the copies were written: uuids are known, and scheduled expiries are not due
LATER_MS = 2 * 3_600_000  # they are
EXPIRE = {"UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": "3600"}
WITH_JOURNAL = {"UTAPI_JOURNAL": "true", **EXPIRE}


class TakeOver:
    """The tests of a folder of copies, which a class names."""

    maxDiff = 4000

    def open_copy(self, name):
        """Puts a copy into the folder, and reads the answers that belong to it."""
        self.copies.unpack(name, self.folder)
        self.expected = self.copies.answers(name)
        self.soon_ms = self.copies.written_ms + SOON_MS
        self.later_ms = self.copies.written_ms + LATER_MS

    def server_at(self, time_ms, *flags, env, backend="lmdb"):
        with clock_at(time_ms):
            return self.server("--no-auth", *flags, backend=backend, env=env)

    def check_usage(self, server):
        seen = takeover.all_usage(server, self.copies.questions)
        for question, figures in self.expected["usage"].items():
            self.assertEqual(seen[question], figures, question)

    def check_answers(self, server):
        self.check_usage(server)
        self.assertEqual(takeover.all_storage(server, self.copies.questions), self.expected["storage"])
        self.check_kept(server)

    def check_kept(self, server):
        """What is kept beside figures."""
        self.assertEqual(takeover.get(server, "/_/journal/refused"), self.expected["deadLetters"])

    def check_repeated(self, server):
        """Events that it had taken are known by their uuids and count no second time, nor do those that waited."""
        for path, events in self.expected["repeated"].items():
            self.assertEqual(server.push(events, path=path), 200)
        self.settle(server)
        self.check_usage(server)

    def check_later(self, *flags, **options):
        """Scheduled expiries happen, also that of an event that was waiting."""
        every = self.copies.questions["ranges"][0]
        with self.server_at(self.later_ms, *flags, **options) as server:
            names = self.copies.questions["names"]["buckets"]
            wait_for(lambda: takeover.usage(server, "buckets", names, every) == self.expected["later"], "what is due")

    def settle(self, server):
        wait_for(lambda: takeover.journal_counts(server).get("waiting", 0) == 0, "an empty journal")

    def check_drained(self, server):
        self.settle(server)
        self.check_answers(server)
        self.assertEqual(takeover.journal_counts(server), self.expected["journal"])

    def check_waiting(self, server):
        counts = {**self.expected["journal"], "waiting": self.expected["waiting"]}
        self.assertEqual(takeover.journal_counts(server), counts)
        self.check_kept(server)

    def test_lmdb(self):
        self.open_copy("lmdb")
        with self.server_at(self.soon_ms, env=EXPIRE) as server:
            self.check_answers(server)
            self.check_repeated(server)
        self.check_later(env=EXPIRE)

    def test_journal_before_lmdb(self):
        self.open_copy("journal")  # its storage was full, and was not given what waits
        with self.server_at(self.soon_ms, env=WITH_JOURNAL) as server:
            self.check_drained(server)
            self.check_repeated(server)
        self.check_later(env=WITH_JOURNAL)

    def test_journal_before_redis(self):
        if REDIS_SERVER is None:
            self.skip_or_fail("redis-server is not installed")
        self.open_copy("redis")
        redis = Redis(self.folder)
        self.addCleanup(redis.kill)
        options = {"backend": None, "env": EXPIRE}
        with self.server_at(self.soon_ms, "--redis", redis.uri, **options) as server:
            self.check_waiting(server)
        with clock_at(self.soon_ms):
            redis.start()
        self.copies.load_redis(redis)
        with self.server_at(self.soon_ms, "--redis", redis.uri, **options) as server:
            self.check_drained(server)
            self.check_repeated(server)
            wait_for(lambda: not redis.command("EXISTS", "s3:utapid:shifting"), "late changes of states")
            if not any(":expired:" in key for key in self.expected["keys"]):
                wait_for(lambda: not redis.command("KEYS", "s3:buckets:1*:expired:*"), "keys of a bucket that expired")
        self.assertEqual(takeover.v1_keys(redis), self.expected["keys"])
        redis.stop()
        with clock_at(self.later_ms):
            redis.start()
        self.check_later("--redis", redis.uri, **options)


class Version01(TakeOver, SystemTest):
    copies = takeover.Copies("v0.1")


class Format2(TakeOver, SystemTest):
    """Late sums, totals beyond 64 bits, dead letters wherever events are stored, acts of administration."""

    copies = takeover.Copies("format-2")

    def check_kept(self, server):
        self.assertEqual(takeover.get(server, "/_/dead-letters"), self.expected["deadLetters"])

    def check_answers(self, server):
        super().check_answers(server)
        self.assertEqual(takeover.audit(server), self.expected["audit"])
        self.check_act_repeated(server)

    def check_act_repeated(self, server):
        """An act is known by its id, by whichever version it was done."""
        for act in self.expected["audit"]:
            ran = subprocess.run(
                [UTAPICTL, "adjust", act["level"], act["resource"], "--storage", "1", "--id", act["id"], "--reason", "again",
                 "--at", str(act["at"]), "--data", takeover.data_folder(server)], capture_output=True, text=True, timeout=60, check=False,
                env=server_environment(),
            )  # fmt: skip
            self.assertIn(ran.returncode, (0, 1), ran.stderr)
        self.check_usage(server)
        self.assertEqual(takeover.audit(server), self.expected["audit"])


if __name__ == "__main__":
    main()
