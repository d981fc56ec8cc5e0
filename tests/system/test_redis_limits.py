# SPDX-License-Identifier: Apache-2.0
"""A script or a transaction of ours keeps Redis from everybody else while it runs: none may for more than 10 ms.

Judged by the processor time of Redis's own thread for each command, not by SLOWLOG, whose times hold what else the machine
does. All is done three times, and of each kind the best of the three worst times counts: what is really too long is so each time.
"""

import os
import random
import uuid

from flowing import SIZE, settle
from harness import CANONICAL_ID, INTERVAL_MS, Server, interval_of, main, now_ms, put_object
from redis_proxy import Watcher
from redis_server import wait_for
from test_redis import OnRedis

YEAR = 365 * 96  # intervals
MOST_MS = 10
ROUNDS = 3
OURS = {"apply", "correct", "expire", "sweep", "store_rollup", "EXEC"}
AT_A_TIME = 2000
OPERATIONS = ("getObjectAcl", "headObject", "headBucket", "putObjectAcl")


def fill_year(redis, level, name, first_ms):
    """What a Node server wrote in a year with an event in every interval."""
    prefix = f"s3:{level}"
    for start in range(0, YEAR, AT_A_TIME):
        times = [(i + 1, first_ms + i * INTERVAL_MS) for i in range(start, min(start + AT_A_TIME, YEAR))]
        for metric, size in (("numberOfObjects", 1), ("storageUtilized", SIZE)):
            members = [word for i, time_ms in times for word in (time_ms, f"{i * size}:{uuid.uuid4()}")]
            redis.command("ZADD", f"{prefix}:{name}:{metric}", *members)
        keys = [f"{prefix}:{time_ms}:{name}" for _, time_ms in times]
        words = [word for key in keys for word in (f"{key}:PutObject", 1, f"{key}:incomingBytes", SIZE)]
        redis.command("MSET", *words)
    redis.command("MSET", f"{prefix}:{name}:numberOfObjects:counter", YEAR,
                  f"{prefix}:{name}:storageUtilized:counter", YEAR * SIZE)  # fmt: skip


class Limits(OnRedis):
    def setUp(self):
        super().setUp()
        self.chance = random.Random(1)
        self.first_ms = interval_of(now_ms()) - YEAR * INTERVAL_MS
        self.store = self.redis(durable=None).start()
        self.watcher = Watcher(self.store.address)
        self.addCleanup(self.watcher.close)

    def push_mixed(self, server, bucket, late):
        """1,000 events, of which this share may be from any time of the year."""
        events = []
        for _ in range(1000):
            is_late = self.chance.random() < late
            time_ms = self.first_ms + self.chance.randrange(YEAR) * INTERVAL_MS if is_late else now_ms()
            events.append(put_object(bucket, SIZE, time_ms))
        self.assertEqual(server.push(events), 200)
        settle(server)

    def push_wide(self, server, number):
        """A put and something else for each of 500 buckets, twice: every script touches as much as it may."""
        for _ in range(2):
            puts = [put_object(f"wide-{number}-{i}", SIZE, now_ms()) for i in range(500)]
            others = [{"operationId": self.chance.choice(OPERATIONS), "uuid": str(uuid.uuid4()), "timestamp": now_ms(),
                       "bucket": put["bucket"], "account": CANONICAL_ID} for put in puts]  # fmt: skip
            self.assertEqual(server.push([event for pair in zip(puts, others) for event in pair]), 200)
            settle(server)

    def ask_for_the_year(self, server, bucket):
        """Summaries are made on the way; what takes too long for one answer goes on at the next."""

        def answer():
            try:
                return server.list("buckets", [bucket], [self.first_ms, self.first_ms + YEAR * INTERVAL_MS - 1])[0]
            except AssertionError:
                return None

        self.assertEqual(wait_for(answer, "an answer", timeout_s=120)["operations"]["s3:PutObject"], YEAR)

    def push_lives(self, server, number):
        """400 buckets that are deleted in one request, and created anew while a Node client lets their keys expire."""
        buckets = [f"life-{number}-{i}" for i in range(400)]
        self.push_each(server, "createBucket", buckets)
        self.assertEqual(server.push([put_object(bucket, SIZE, now_ms()) for bucket in buckets]), 200)
        self.push_each(server, "deleteBucket", buckets)
        self.assertEqual(server.push([put_object(bucket, SIZE, now_ms()) for bucket in buckets]), 200)
        settle(server)
        for bucket in buckets:
            self.store.command("EXPIRE", f"s3:buckets:{bucket}:storageUtilized", 600)
        self.push_each(server, "createBucket", buckets)

    def push_each(self, server, operation, buckets, time_ms=None):
        events = [{"operationId": operation, "uuid": str(uuid.uuid4()), "timestamp": time_ms or now_ms(), "bucket": bucket,
                   "account": CANONICAL_ID} for bucket in buckets]  # fmt: skip
        self.assertEqual(server.push(events), 200)
        settle(server)

    def runs(self, kind):
        return len(self.watcher.work.get(kind, ()))

    def run_round(self, number, at_once, later):
        names = [f"{what}-{number}" for what in ("late", "gone-at-once", "gone-later", "gone-late", "gone-as-late")]
        for name in names:
            fill_year(self.store, "buckets", name, self.first_ms)
        self.watcher.forget()
        self.ask_for_the_year(at_once, names[1])
        for share in (0.01, 0.1, 1):
            self.push_mixed(at_once, names[0], share)
        self.push_wide(at_once, number)
        self.push_lives(at_once, number)
        self.push_each(at_once, "deleteBucket", [names[1]])
        self.push_each(later, "deleteBucket", [names[2]])
        self.push_each(at_once, "deleteBucket", names[3:], now_ms() - 1000 * INTERVAL_MS)
        wait_for(lambda: self.runs("sweep") > 20 and self.runs("expire") > 0, "expiry", timeout_s=120)
        return {kind: max(times) for kind, times in self.watcher.work.items()}

    def test_no_script_keeps_redis_for_long(self):
        for level, name in (("accounts", CANONICAL_ID), ("service", "s3")):
            fill_year(self.store, level, name, self.first_ms)
        with self.watched("at-once", "0") as at_once, self.watched("later", "1") as later:
            rounds = [self.run_round(number, at_once, later) for number in range(ROUNDS)]
        self.assertLessEqual(OURS, set.intersection(*map(set, rounds)))
        worst = {kind: min(seen[kind] for seen in rounds if kind in seen) for kind in set().union(*rounds)}
        print(", ".join(f"{kind} {ms:.2f} ms" for kind, ms in sorted(worst.items())))
        self.assertEqual({kind: ms for kind, ms in worst.items() if ms > MOST_MS}, {})

    def watched(self, name, ttl_s):
        env = {"UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": ttl_s}
        return Server(os.path.join(self.folder, name), "--redis", self.watcher.uri, backend=None, env=env)


if __name__ == "__main__":
    main()
