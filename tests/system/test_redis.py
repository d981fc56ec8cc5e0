# SPDX-License-Identifier: Apache-2.0
"""utapid on Redis: how it is configured, starts without a Redis, shows its journal, and keeps aside what can never be counted."""

import contextlib
import json
import os
import subprocess

from flowing import check_counts, check_keys, flowing, health, settle
from harness import UTAPICTL, SystemTest, interval_of, main, now_ms, put_object, range_around, server_environment
from redis_server import REDIS_SERVER, Redis, wait_for

CLOUDSERVER = {
    "port": 8000,
    "restEndpoints": {"localhost": "us-east-1"},
    "clusters": 1,
    "log": {"logLevel": "info", "dumpLevel": "error"},
    "healthChecks": {"allowFrom": ["127.0.0.1/8", "::1"]},
    "vaultd": {"host": "localhost", "port": 8500},
}


class OnRedis(SystemTest):
    """Tests with a Redis, which is not started yet."""

    def setUp(self):
        if REDIS_SERVER is None:
            self.skip_or_fail("redis-server is not installed")
        super().setUp()

    def redis(self, *settings, **options):
        redis = Redis(self.folder, *settings, **options)
        self.addCleanup(redis.kill)
        return redis

    def server_on(self, redis, *flags, **options):
        return self.server("--redis", redis.uri, *flags, backend=None, **options)

    def utapictl(self, server, *arguments):
        return subprocess.run(
            [UTAPICTL, *arguments, "-p", str(server.port)], capture_output=True, text=True, timeout=120, check=False,
            env=server_environment(),
        )  # fmt: skip


class Configuration(OnRedis):
    def test_cloudservers_file_is_enough(self):
        redis = self.redis(password="geheim:%/@", tcp=True).start()
        where = {"host": "127.0.0.1", "port": redis.port, "password": redis.password}
        path = os.path.join(self.folder, "config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**CLOUDSERVER, "redis": where, "localCache": where, "utapi": {"workers": 1, "redis": where}}, file)
        since_ms = now_ms()
        with self.server("--config", path, backend=None) as server:
            for _ in range(5):
                self.assertEqual(server.push([put_object("photos", 10)]), 200)
            check_counts(server, {"photos": 5}, since_ms)
            settle(server)
            self.assertNotIn("geheim", server.log())
        self.assertEqual(redis.counter("buckets", "photos", "numberOfObjects"), 5)
        checked = subprocess.run(
            [server.command[0], "--check", "--config", path], capture_output=True, text=True, timeout=60, check=True,
            env=server_environment(),
        )  # fmt: skip
        self.assertNotIn("geheim", checked.stdout + checked.stderr)

    def test_a_wrong_password_is_told_and_not_shown(self):
        redis = self.redis(password="geheim", tcp=True).start()
        flags = ["--redis", f"redis://:falsch@127.0.0.1:{redis.port}"]
        with self.server(*flags, backend=None) as server:
            self.assertEqual(server.push([put_object("photos", 10)]), 200)
            seen = wait_for(lambda: health(server).get("trouble"), "trouble")
            self.assertNotIn("falsch", seen + server.log())
            self.assertEqual(health(server)["journal"]["waiting"], 1)

    def test_settings_of_redis_that_would_lose_keys_are_told(self):
        redis = self.redis("maxmemory 100mb", "maxmemory-policy allkeys-lru").start()
        with self.server_on(redis) as server:
            wait_for(lambda: "maxmemory-policy" in health(server).get("trouble", ""), "word of maxmemory-policy")
            self.assertEqual(health(server)["status"], "degraded")


class WrongKeys(OnRedis):
    def test_a_key_of_another_type_is_named(self):
        redis = self.redis().start()
        redis.command("SET", "s3:buckets:photos:storageUtilized", "text")
        with self.server_on(redis, "--no-auth", auth_file=None) as server:
            body = json.dumps({"buckets": ["photos", "other"], "timeRange": range_around(now_ms())})
            status, answer = server.request("POST", "/buckets?Action=ListMetrics", body)
            self.assertEqual((status, json.loads(answer)["code"]), (500, "InternalError"))
            self.assertIn("has to be mended before it can be read: s3:buckets:photos:storageUtilized: WRONGTYPE",
                          json.loads(answer)["message"])  # fmt: skip
            line = next(line for line in server.log().splitlines() if "WRONGTYPE" in line)
            self.assertRegex(line, r'"error".*"a query about 2 names of buckets failed: s3:buckets:photos:storageUtilized: ')


class Storage(OnRedis):
    def test_what_is_stored_now_is_what_the_counter_tells_and_what_waits(self):
        """A Node client left NaN where it knew no state; its counter is right."""
        redis = self.redis().start()
        redis.command("SET", "s3:buckets:photos:storageUtilized:counter", 100)
        redis.command("ZADD", "s3:buckets:photos:storageUtilized", interval_of(now_ms()), "NaN:node")
        with self.server_on(redis) as server:
            self.assertEqual(server.storage("buckets", "photos"), 100)
            for pushed in range(1, 20):
                self.assertEqual(server.push([put_object("photos", 1)]), 200)
                self.assertEqual(server.storage("buckets", "photos"), 100 + pushed)


class WithoutRedis(OnRedis):
    def test_it_starts_takes_events_and_catches_up(self):
        redis = self.redis()
        since_ms = now_ms()
        with self.server_on(redis) as server:
            with flowing(lambda: server) as flow:
                flow.wait_for_more(50)
                self.ask_in_vain(server)
                wait_for(lambda: "storage: " in server.log(), "a line in the log")
                seen = wait_for(lambda: health(server) if health(server)["status"] == "degraded" else None, "degraded")
                self.assertGreater(seen["journal"]["waiting"], 0)
                self.assertNotEqual(seen["trouble"], "")
                redis.start()
                flow.wait_for_more(50)
            settle(server)
            wait_for(lambda: "all is well again" in server.log(), "a line in the log")
            self.assertEqual(server.log().count('"storage: '), 2, server.log())
            check_counts(server, flow.counts(), since_ms)
            check_keys(redis, flow.counts())

    def ask_in_vain(self, server):
        """A question is answered 503, with a sentence and when to try again."""
        with contextlib.closing(server.connect()) as connection:
            connection.request("GET", "/v2/storage/buckets/flow-0")
            response = connection.getresponse()
            body = json.loads(response.read())
        self.assertEqual((response.status, body["code"]), (503, "ServiceUnavailable"))
        self.assertIn("usage cannot be read now", body["message"])
        self.assertGreater(int(response.headers["Retry-After"]), 0)
        self.assertRegex(server.log(), r'"warn".*"a query about what one of buckets stores failed: Redis at ')

    def test_events_taken_without_redis_outlive_a_restart(self):
        redis = self.redis()
        since_ms = now_ms()
        with self.server_on(redis) as server:
            for _ in range(7):
                self.assertEqual(server.push([put_object("photos", 10)]), 200)
        redis.start()
        with self.server_on(redis) as server:
            settle(server)
            check_counts(server, {"photos": 7}, since_ms)
            check_keys(redis, {"photos": 7})
        fences = redis.command("KEYS", "s3:utapid:fence:*")
        self.assertEqual(len(fences), 1)  # of the first start: the second one wrote nothing
        self.assertEqual(redis.command("TTL", fences[0]), -1)

    def test_a_full_journal_says_so_and_recovers(self):
        redis = self.redis()
        since_ms = now_ms()
        taken = 0
        with self.server_on(redis, env={"UTAPI_JOURNAL_MAX_SIZE": "4 MiB"}) as server:
            request = [put_object("photos", 10, object="o" * 500) for _ in range(500)]
            while (status := server.push(request)) == 200:
                taken += len(request)
                self.assertLess(taken, 1_000_000, "the journal never was full")
                request = [put_object("photos", 10, object="o" * 500) for _ in range(500)]
            self.assertEqual(status, 503)
            self.assertGreater(taken, 0)
            self.check_full(server, request)
            redis.start()
            wait_for(lambda: server.request("GET", "/_/healthcheck")[0] == 200, "room that nobody asked for")
            wait_for(lambda: server.push(request) == 200, "room in the journal")
            settle(server)
            check_counts(server, {"photos": taken + len(request)}, since_ms)
            check_keys(redis, {"photos": taken + len(request)})


    def check_full(self, server, request):
        """Each says what is in the way: the answer, the healthcheck, and utapictl."""
        status, body = server.request("POST", "/v2/ingest", json.dumps(request))
        self.assertEqual((status, json.loads(body)["code"]), (503, "ServiceUnavailable"))
        self.assertRegex(json.loads(body)["message"], r"^Events cannot be stored now: the journal is full: \d of 4 MiB")
        status, body = server.request("GET", "/_/healthcheck")
        self.assertEqual((status, json.loads(body)["status"]), (503, "unavailable"))
        self.assertIn("the journal is full, and events are refused: Redis at ", json.loads(body)["trouble"])
        shown = self.utapictl(server, "journal")
        self.assertEqual(shown.returncode, 3, shown.stderr)
        self.assertRegex(shown.stdout, r"status +unavailable: the journal is full")


class Operator(OnRedis):
    def test_utapictl_shows_the_journal_and_drains_it(self):
        redis = self.redis()
        with self.server_on(redis) as server:
            self.assertEqual(server.push([put_object("photos", 10)]), 200)
            wait_for(lambda: health(server)["status"] == "degraded", "degraded")
            shown = self.utapictl(server, "journal")
            self.assertEqual(shown.returncode, 3, shown.stderr)
            self.assertRegex(shown.stdout, r"status +degraded: .+\nwaiting +1 event waits, the oldest for \d+ s\n")
            late = self.utapictl(server, "journal", "--drain", "--timeout", "1")
            self.assertEqual(late.returncode, 1)
            self.assertRegex(late.stderr, r"after 1 s 1 event waits, the oldest for \d+ s: .+")
            redis.start()
            drained = self.utapictl(server, "journal", "--drain", "--timeout", "60")
            self.assertEqual(drained.returncode, 0, drained.stderr)
            self.assertIn("0 events wait\n", drained.stdout)
            self.assertEqual(json.loads(self.utapictl(server, "journal", "--json").stdout)["journal"]["waiting"], 0)

    def full_and_wrong(self):
        """A Redis with a bucket whose bytes are at their limit, and one with a key of another type."""
        redis = self.redis().start()
        redis.command("SET", "s3:buckets:full:storageUtilized:counter", 2**63 - 1)
        redis.command("RPUSH", "s3:buckets:wrong:numberOfObjects:counter", "a list")
        return redis

    def mend(self, redis):
        redis.command("SET", "s3:buckets:full:storageUtilized:counter", 0)
        redis.command("DEL", "s3:buckets:wrong:numberOfObjects:counter")

    def test_what_does_not_fit_its_bucket_is_a_dead_letter_there_alone(self):
        redis = self.full_and_wrong()
        since_ms = now_ms()
        with self.server_on(redis) as server:
            with flowing(lambda: server) as flow:
                flow.wait_for_more(50)
                for bucket in ("full", "wrong"):
                    self.assertEqual(server.push([put_object(bucket, 10)]), 200)
                flow.wait_for_more(200)
            wait_for(lambda: health(server)["journal"]["refused"] == 2, "two dead letters")
            wait_for(lambda: health(server)["journal"]["waiting"] == 0, "an empty journal")
            self.assertEqual(health(server)["status"], "degraded")  # the figures lack them for good
            self.assertIn("2 events were accepted and not counted", health(server)["trouble"])
            check_counts(server, flow.counts(), since_ms, elsewhere=2)  # they count at the other levels
            check_keys(redis, flow.counts(), elsewhere=2)
            wait_for(lambda: server.log().count("can never be counted: utapictl dead-letters list") > 0, "a line in the log")
        self.assertEqual(redis.counter("buckets", "full", "storageUtilized"), 2**63 - 1)
        with self.server_on(redis) as server:
            self.assertEqual(health(server)["journal"]["refused"], 2)
            self.assertNotIn("can never be counted", server.log())  # it was told before
            listed = json.loads(self.utapictl(server, "dead-letters", "list", "--json").stdout)["letters"]
            told = {letter["bucket"]: (letter["reason"], letter["levels"]) for letter in listed}
            self.assertEqual(told, {"full": ("overflow", ["buckets"]), "wrong": ("corrupt", ["buckets"])})
            self.assertEqual(json.loads(self.utapictl(server, "journal", "--refused", "--json").stdout), [])
            self.mend(redis)
            for _ in range(2):
                pushed = self.utapictl(server, "dead-letters", "push", *(letter["id"] for letter in listed))
                self.assertEqual(pushed.returncode, 0, pushed.stderr)
            wait_for(lambda: health(server)["status"] == "ok", "no trouble any more")
            wait_for(lambda: health(server)["journal"]["waiting"] == 0, "an empty journal")
            check_counts(server, {**flow.counts(), "full": 1, "wrong": 1}, since_ms)
            check_keys(redis, {**flow.counts(), "full": 1, "wrong": 1})

    def test_what_can_never_be_counted_is_kept_aside(self):
        redis = self.full_and_wrong()
        buckets_alone = {"UTAPI_METRICS": "buckets"}
        with self.server_on(redis, env=buckets_alone) as server:
            self.assertEqual(server.push([put_object(bucket, 10) for bucket in ("full", "fits", "wrong")]), 200)
            wait_for(lambda: health(server)["journal"]["refused"] == 2, "two dead letters")
            self.check_refused(server)
        self.assertEqual(redis.counter("buckets", "fits", "storageUtilized"), 10)
        with self.server_on(redis, env=buckets_alone) as server:
            self.assertEqual(health(server)["journal"]["refused"], 2)
            self.check_refused(server)
            kept = self.check_acknowledged(server)
        with self.server_on(redis, env=buckets_alone) as server:
            wait_for(lambda: health(server)["status"] == "ok", "no trouble, after a restart too")
            self.assertEqual(health(server)["journal"]["refused"], 2)
            self.check_pushed_again(server, redis, kept)

    def check_pushed_again(self, server, redis, kept):
        """A dead letter counts once what refused it is mended."""
        path = os.path.join(self.folder, "kept-aside.ndjson")
        with open(path, "w", encoding="utf-8") as file:
            file.write(kept)
        self.mend(redis)
        for _ in range(2):
            pushed = self.utapictl(server, "push", path)
            self.assertEqual(pushed.returncode, 0, pushed.stderr)
        wait_for(lambda: health(server)["journal"]["waiting"] == 0, "an empty journal")
        for bucket in ("full", "wrong"):
            self.assertEqual(redis.counter("buckets", bucket, "storageUtilized"), 10)
        self.assertEqual(health(server)["status"], "ok")

    def check_acknowledged(self, server):
        """What is printed is dropped: nothing where it cannot be written."""
        command = [UTAPICTL, "journal", "--acknowledge", "-p", str(server.port)]
        with open("/dev/full", "w", encoding="utf-8") as full:
            for way in ({"stdout": full}, {"preexec_fn": lambda: os.close(1)}):
                vain = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **way)
                self.assertEqual(vain.returncode, 1)
                self.assertIn("stay where they are", vain.stderr)
                self.check_refused(server)
        kept = self.utapictl(server, "journal", "--acknowledge")
        self.assertEqual(kept.returncode, 0, kept.stderr)
        self.assertEqual({json.loads(line)["bucket"] for line in kept.stdout.splitlines()}, {"full", "wrong"})
        self.assertIn("there is no dead letter", self.utapictl(server, "journal", "--refused").stdout)
        wait_for(lambda: health(server)["status"] == "ok", "no trouble any more")
        seen = health(server)["journal"]
        self.assertEqual((seen["refused"], seen["refusedAcknowledged"]), (2, 2))
        self.assertIn("dead letters  2 events, all acknowledged\n", self.utapictl(server, "journal").stdout)
        again = self.utapictl(server, "journal", "--acknowledge")
        self.assertEqual((again.returncode, again.stdout), (0, ""))
        return kept.stdout

    def check_refused(self, server):
        listed = self.utapictl(server, "journal", "--refused", "--json")
        events = {event["bucket"]: event for event in json.loads(listed.stdout)}
        self.assertEqual(set(events), {"full", "wrong"})
        self.assertEqual(events["full"]["sizeDelta"], 10)
        self.assertNotEqual(events["wrong"]["reason"], "")
        table = self.utapictl(server, "journal", "--refused").stdout
        self.assertRegex(table, r"(?m)^\d{4}-.* putObject +full ")


if __name__ == "__main__":
    main()
