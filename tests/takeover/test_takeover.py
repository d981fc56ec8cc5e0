# SPDX-License-Identifier: Apache-2.0
"""What version 0.1 left behind (v0.1/README.md) is taken over: every question is answered as it answered it itself."""

import json
import lzma
import os

import takeover
from harness import SystemTest, main
from redis_server import REDIS_SERVER, Redis, wait_for
from takeover import clock_at

SOON_MS = 60_000  # after the copies were written: uuids are known, and scheduled expiries are not due
LATER_MS = 2 * 3_600_000  # they are
EXPIRE = {"UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": "3600"}
WITH_JOURNAL = {"UTAPI_JOURNAL": "true", **EXPIRE}

with open(os.path.join(takeover.COPIES, "questions.json"), encoding="utf-8") as file:
    QUESTIONS = json.load(file)
WRITTEN_MS = QUESTIONS["writtenMs"]


class TakeOver(SystemTest):
    maxDiff = 4000

    def open_copy(self, name):
        """Puts a copy into the folder, and reads the answers that belong to it."""
        takeover.unpack(name, self.folder)
        with lzma.open(os.path.join(takeover.COPIES, f"{name}.json.xz"), "rt", encoding="utf-8") as answers:
            self.expected = json.load(answers)

    def server_at(self, time_ms, *flags, env, backend="lmdb"):
        with clock_at(time_ms):
            return self.server("--no-auth", *flags, backend=backend, env=env)

    def check_usage(self, server):
        seen = takeover.all_usage(server, QUESTIONS)
        for question, figures in self.expected["usage"].items():
            self.assertEqual(seen[question], figures, question)

    def check_answers(self, server):
        self.check_usage(server)
        self.assertEqual(takeover.all_storage(server, QUESTIONS), self.expected["storage"])
        self.assertEqual(takeover.get(server, "/_/journal/refused"), self.expected["deadLetters"])

    def check_repeated(self, server):
        """Events that it had taken are known by their uuids and count no second time, nor do those that waited."""
        for path, events in self.expected["repeated"].items():
            self.assertEqual(server.push(events, path=path), 200)
        self.settle(server)
        self.check_usage(server)

    def check_later(self, *flags, **options):
        """Scheduled expiries happen, also that of an event that was waiting."""
        every = QUESTIONS["ranges"][0]
        with self.server_at(WRITTEN_MS + LATER_MS, *flags, **options) as server:
            names = QUESTIONS["names"]["buckets"]
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
        self.assertEqual(takeover.get(server, "/_/journal/refused"), self.expected["deadLetters"])

    def test_lmdb(self):
        self.open_copy("lmdb")
        with self.server_at(WRITTEN_MS + SOON_MS, env=EXPIRE) as server:
            self.check_answers(server)
            self.check_repeated(server)
        self.check_later(env=EXPIRE)

    def test_journal_before_lmdb(self):
        self.open_copy("journal")  # its storage was full, and was not given what waits
        with self.server_at(WRITTEN_MS + SOON_MS, env=WITH_JOURNAL) as server:
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
        with self.server_at(WRITTEN_MS + SOON_MS, "--redis", redis.uri, **options) as server:
            self.check_waiting(server)
        with clock_at(WRITTEN_MS + SOON_MS):
            redis.start()
        takeover.load_redis(redis)
        with self.server_at(WRITTEN_MS + SOON_MS, "--redis", redis.uri, **options) as server:
            self.check_drained(server)
            self.check_repeated(server)
            wait_for(lambda: not redis.command("EXISTS", "s3:utapid:shifting"), "late changes of states")
        self.assertEqual(takeover.v1_keys(redis), self.expected["keys"])
        redis.stop()
        with clock_at(WRITTEN_MS + LATER_MS):
            redis.start()
        self.check_later("--redis", redis.uri, **options)


if __name__ == "__main__":
    main()
