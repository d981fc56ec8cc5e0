# SPDX-License-Identifier: Apache-2.0
"""What a Node UtapiClient left in its local cache: taken over with its lock, counted at its own times, exactly once."""

import json

import harness
import redis_server
from flowing import health
from redis_server import wait_for

LIST, LOCK = "s3:utapireplay", "s3:utapireplay:lock"
TAKEN, REFUSED = "s3:utapid:replay", "s3:utapid:replay:refused"
DAY_MS = 86_400_000
BUCKET = "left:over"


def element(number, time_ms, action="putObject", **params):
    """In the form and the order of members that UtapiClient stores."""
    params = {"bucket": BUCKET, "accountId": harness.CANONICAL_ID, "keys": [f"key {number}"],
              "newByteLength": 10, "oldByteLength": None, **params}  # fmt: skip
    return json.dumps({"action": action, "reqUid": f"req{number}", "params": params, "timestamp": time_ms})


class Replay(harness.SystemTest):
    def setUp(self):
        super().setUp()
        if redis_server.REDIS_SERVER is None:
            self.skip_or_fail("there is no redis-server")
        self.cache = redis_server.Redis(self.folder, name="cache").start()
        self.addCleanup(self.cache.kill)
        self.long_ago = harness.interval_of(harness.now_ms()) - 3 * DAY_MS

    def utapid(self):
        return self.server(env={"UTAPI_REDIS_CACHE_URL": self.cache.uri})

    def leave(self, elements):
        for at in range(0, len(elements), 500):
            self.cache.command("LPUSH", LIST, *elements[at : at + 500])

    def is_empty(self):
        return self.cache.command("EXISTS", LIST, TAKEN) == 0

    def wait_until_empty(self):
        wait_for(self.is_empty, "the local cache is taken over", timeout_s=120)

    def scripts_run(self):
        stats = self.cache.command("INFO", "commandstats")
        calls = [line for line in stats.split("\r\n") if line.startswith("cmdstat_evalsha:")]
        return int(calls[0].split("calls=")[1].split(",")[0]) if calls else 0

    def figures(self, server, *times_ms, level="buckets", name=BUCKET):
        return harness.figures(server.list(level, [name], harness.range_around(*times_ms))[0])

    def test_each_event_counts_at_its_own_time(self):
        self.leave([element(1, self.long_ago), element(2, self.long_ago + DAY_MS), element(3, self.long_ago + DAY_MS + 7)])
        self.leave([element(4, self.long_ago + 2 * DAY_MS, "getObject", newByteLength=3)])
        with self.utapid() as server:
            self.wait_until_empty()
            first = self.figures(server, self.long_ago)
            second = self.figures(server, self.long_ago + DAY_MS)
            third = self.figures(server, self.long_ago + 2 * DAY_MS)
            self.assertEqual(first["storageUtilized"], 10)
            self.assertEqual(first["operations"], {"s3:PutObject": 1})
            self.assertEqual(second["storageUtilized"], 30)
            self.assertEqual(second["operations"], {"s3:PutObject": 2})
            self.assertEqual(third["operations"], {"s3:GetObject": 1})
            self.assertEqual(third["outgoingBytes"], 3)
            now = self.figures(server, harness.now_ms())
            self.assertEqual((now["storageUtilized"], now["operations"]), (30, {}))
            account = self.figures(server, self.long_ago + DAY_MS, level="accounts", name=harness.CANONICAL_ID)
            self.assertEqual(account["storageUtilized"], 30)
            wait_for(lambda: self.cache.command("EXISTS", LOCK) == 0, "the lock is given back")

    def test_a_deletion_that_adds_delete_markers_counts(self):
        """A DeleteObjects that makes more delete markers than it removes versions removes less than no object."""
        self.leave([element(1, self.long_ago)])
        for number, action in enumerate(("multiObjectDelete", "deleteObject"), 2):
            self.leave([element(number, self.long_ago, action, byteLength=0, numberOfObjects=-1)])
        with self.utapid() as server:
            self.wait_until_empty()
            self.assertEqual(self.figures(server, self.long_ago)["numberOfObjects"], 3)
            self.assertEqual(self.cache.command("EXISTS", REFUSED), 0)

    def test_somebody_elses_lock_is_waited_for(self):
        self.cache.command("SET", LOCK, "true", "NX", "EX", 900)
        self.leave([element(1, self.long_ago)])
        with self.utapid() as server:
            wait_for(lambda: self.scripts_run() >= 2, "it has tried twice")
            self.assertEqual(self.cache.command("GET", LOCK), "true")
            self.assertEqual(self.cache.command("LLEN", LIST), 1)
            self.cache.command("DEL", LOCK)
            self.wait_until_empty()
            self.assertEqual(self.figures(server, self.long_ago)["numberOfObjects"], 1)

    def kill_midway(self, left):
        server = self.utapid()
        wait_for(lambda: self.cache.command("LLEN", LIST) <= left, f"{left} elements are left", pause_s=0.001)
        server.kill()
        self.assertGreater(self.cache.command("EXISTS", LIST, TAKEN), 0)
        self.cache.command("DEL", LOCK)  # it would end by itself

    def test_a_crash_loses_nothing_and_counts_nothing_twice(self):
        count = 20_000
        self.leave([element(number, self.long_ago + number * 1000) for number in range(count)])
        self.kill_midway(15_000)
        self.kill_midway(8_000)
        with self.utapid() as server:
            self.wait_until_empty()
            total = self.figures(server, self.long_ago, self.long_ago + count * 1000)
            self.assertEqual(total["numberOfObjects"], count)
            self.assertEqual(total["storageUtilized"], 10 * count)
            self.assertEqual(total["operations"], {"s3:PutObject": count})

    def test_what_can_never_be_counted_is_set_aside(self):
        far_away = harness.now_ms() + DAY_MS
        bad = {
            "not JSON": "{\"action\": ",
            "a list": "[]",
            "an action that nobody knows": element(2, self.long_ago, "paintObject"),
            "a length that is no number": element(3, self.long_ago, newByteLength="many"),
            "a time to come": element(4, far_away),
            "bytes": b"\x00\xff:\n",
        }
        self.leave([element(number, self.long_ago) for number in range(10, 60)])
        self.leave(list(bad.values()))
        self.leave([element(number, self.long_ago) for number in range(60, 110)])
        with self.utapid() as server:
            self.wait_until_empty()
            total = self.figures(server, self.long_ago)
            self.assertEqual((total["numberOfObjects"], total["storageUtilized"]), (100, 1000))
            refused = self.cache.command("LRANGE", REFUSED, 0, -1)
            self.assertEqual(len(refused), len(bad))
            elements = {text.split("\n", 1)[1] for text in refused}
            self.assertEqual(elements, {text if isinstance(text, str) else text.decode(errors="replace") for text in bad.values()})
            self.assertTrue(any(text.startswith("action: unknown action") for text in refused), refused)
            self.assertEqual(server.log().count("set aside"), len(bad))
            told = f"local cache: {len(bad)} events can never be counted: see the list {REFUSED}"
            wait_for(lambda: health(server).get("trouble") == told, "the healthcheck tells of them")
            self.assertEqual(health(server)["status"], "degraded")
        with self.utapid() as server:
            wait_for(lambda: health(server).get("trouble") == told, "it does so after another start")
        self.cache.command("DEL", REFUSED)
        runs = self.scripts_run()
        with self.utapid() as server:
            wait_for(lambda: self.scripts_run() >= runs + 3, "it looked")  # and gave the lock back
            self.assertNotIn("trouble", health(server))

    def test_a_key_of_ours_that_holds_something_else_is_told_of_until_it_is_mended(self):
        for number, key in enumerate(("s3:utapid:replay:last", "s3:utapid:replay:origin", TAKEN, LOCK)):
            self.cache.command("FLUSHALL")
            self.cache.command("HSET", key, "some", "thing")
            self.leave([element(number, self.long_ago)])
            with self.utapid() as server:
                trouble = wait_for(lambda: health(server).get("trouble"), "trouble")
                self.assertRegex(trouble, f"^local cache: Redis: WRONGTYPE {key}: ")
                self.assertEqual(health(server)["status"], "degraded")
                self.assertEqual(self.cache.command("LLEN", LIST), 1)
                self.cache.command("DEL", key)
                self.wait_until_empty()
                wait_for(lambda: "trouble" not in health(server), "no trouble any more")
                self.assertEqual(self.figures(server, self.long_ago)["numberOfObjects"], number + 1)

    def test_a_member_of_somebody_else_holds_nobody_up(self):
        self.cache.command("ZADD", TAKEN, 1, "nonsense")
        self.leave([element(1, self.long_ago)])
        with self.utapid() as server:
            self.wait_until_empty()
            self.assertEqual(self.figures(server, self.long_ago)["numberOfObjects"], 1)
            self.assertEqual(self.cache.command("LRANGE", REFUSED, 0, -1), [f"no utapid wrote it into {TAKEN}\nnonsense"])

    def test_a_cache_that_is_away_is_waited_for(self):
        self.leave([element(1, self.long_ago)])
        self.cache.kill()
        with self.utapid() as server:
            wait_for(lambda: "local cache" in server.log(), "it says that the cache is away")
            wait_for(lambda: "local cache: Redis at " in health(server).get("trouble", ""), "the healthcheck says so too")
            self.cache.start()
            self.wait_until_empty()
            wait_for(lambda: "trouble" not in health(server), "no trouble any more")
            self.assertEqual(self.figures(server, self.long_ago)["numberOfObjects"], 1)

    def test_stopping_does_not_wait_for_a_cache_that_hangs(self):
        self.cache.pause()
        self.addCleanup(self.cache.go_on)
        with self.utapid() as server:
            self.assertEqual(server.push([harness.put_object(BUCKET, 1)]), 200)


if __name__ == "__main__":
    harness.main()
