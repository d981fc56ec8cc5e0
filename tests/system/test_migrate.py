# SPDX-License-Identifier: Apache-2.0
"""utapictl migrate: a Redis as Utapi left it into LMDB, and back into an empty Redis; also when it is killed midway."""

import contextlib
import glob
import json
import os
import random
import subprocess

import harness
import redis_server
from flowing import settle

VECTORS = os.path.join(harness.ROOT, "tests", "golden", "vectors")
FIRST = 1_700_006_400_000
RANGE = [FIRST - harness.INTERVAL_MS, FIRST + 40 * 86_400_000 - 1]


def load_dump(redis, dump):
    """Writes the keys of a golden vector; members of sorted sets get an end, as they have in a real Redis."""
    for entry in dump:
        if entry["type"] == "string":
            redis.command("SET", entry["key"], entry["value"])
            continue
        for member, score in entry["value"]:
            redis.command("ZADD", entry["key"], score, f"{member}:{random.getrandbits(64):x}")


def vectors():
    """Golden vectors that end with something in Redis."""
    for path in sorted(glob.glob(os.path.join(VECTORS, "*.json"))):
        with open(path, encoding="utf-8") as file:
            vector = json.load(file)
        if vector.get("redisDump") and not vector["config"]:
            yield vector


def same_figures(answer, expected):
    """Whether an answer is the recorded one, which lists only operations that were counted."""
    operations = {name: count for name, count in answer["operations"].items() if count}
    return all(answer[name] == expected[name] for name in expected if name != "operations") and (
        operations == expected["operations"]
    )


class Migrate(harness.SystemTest):
    def setUp(self):
        super().setUp()
        if redis_server.REDIS_SERVER is None:
            self.skip_or_fail("there is no redis-server")
        self.redis = self.start_redis("first")

    def start_redis(self, name, **options):
        redis = redis_server.Redis(self.folder, name=name, **{"durable": "", **options}).start()
        self.addCleanup(redis.kill)
        return redis

    def lmdb(self, name):
        """A folder in the form that Server takes, and its storage."""
        data = os.path.join(self.folder, name)
        os.makedirs(data, exist_ok=True)
        return data, f"lmdb:{data}/lmdb"

    def start_migrate(self, source, target, *more):
        return subprocess.Popen([harness.UTAPICTL, "migrate", "--from", source, "--to", target, *more],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def migrate_by_variables(self, source, target):
        variables = harness.server_environment({"UTAPI_MIGRATE_FROM": source, "UTAPI_MIGRATE_TO": target})
        return subprocess.run([harness.UTAPICTL, "migrate"], env=variables, capture_output=True, text=True,
                              timeout=200, check=False)  # fmt: skip

    def migrate(self, source, target, *more, status=0):
        process = self.start_migrate(source, target, *more)
        out, err = process.communicate(timeout=200)
        self.assertEqual(process.returncode, status, f"{out}\n{err}")
        return out + err

    def fill(self, redis, buckets=20, intervals=40):
        """Keys as a Node client writes them: flows at many times, and states that go up and down."""
        figures = random.Random(7)
        client = redis_server.Client(redis.address)
        self.addCleanup(client.close)
        for bucket in range(buckets):
            name, stored, objects = f"bucket:{bucket}", 0, 0
            for number in range(intervals):
                interval = FIRST + (number * 37 + bucket) % 3000 * harness.INTERVAL_MS
                stored, objects = stored + figures.randrange(-5, 1000), objects + 1
                client.ask("ZADD", f"s3:buckets:{name}:storageUtilized", interval, f"{stored}:{number:x}")
                client.ask("ZADD", f"s3:buckets:{name}:numberOfObjects", interval, f"{objects}:{number:x}")
                client.ask("INCRBY", f"s3:buckets:{interval}:{name}:PutObject", figures.randrange(1, 9))
                client.ask("INCRBY", f"s3:users:{interval}:{name}:incomingBytes", figures.randrange(1, 2**40))
            client.ask("SET", f"s3:buckets:{name}:storageUtilized:counter", stored)
            client.ask("SET", f"s3:buckets:{name}:numberOfObjects:counter", objects)
            client.ask("SET", f"s3:location:{name}:locationStorage", 100 + bucket)
        return [f"bucket:{bucket}" for bucket in range(buckets)]

    def answers(self, data, names):
        """What utapid answers from an LMDB storage."""
        with harness.Server(data) as server:
            return {level: server.list(level, names, RANGE) for level in ("buckets", "users", "locations")}

    def test_recorded_redis_lists_as_recorded(self):
        asked = 0
        for number, vector in enumerate(vectors()):
            self.redis.command("FLUSHALL")
            load_dump(self.redis, vector["redisDump"])
            data, target = self.lmdb(f"vector{number}")
            self.migrate(self.redis.uri, target)
            with harness.Server(data) as server:
                for query in vector["queries"]:
                    if query.get("status") != 200 or len(query.get("timeRange", [])) != 2 or "utapiDefect" in query:
                        continue
                    canonical = {account["accountId"]: account["canonicalId"] for account in query.get("accounts", [])}
                    names = [canonical.get(name, name) for name in query["resources"]]
                    answers = server.list(query["level"], names, query["timeRange"])
                    for answer, expected in zip(answers, query["expect"], strict=True):
                        self.assertTrue(same_figures(answer, expected), (vector["name"], query, answer))
                        asked += 1
        self.assertGreater(asked, 100)

    def test_there_and_back_again(self):
        names = self.fill(self.redis)
        data, storage = self.lmdb("storage")
        self.migrate(self.redis.uri, storage)
        before = self.answers(data, names)
        self.assertEqual(before["locations"][3]["storageUtilized"], [103, 103])
        self.assertGreater(before["buckets"][3]["operations"]["s3:PutObject"], 40)

        second = self.start_redis("second")
        self.migrate(storage, second.uri)
        data, storage = self.lmdb("again")
        self.migrate(second.uri, storage)
        self.assertEqual(self.answers(data, names), before)
        self.assertEqual(second.counter("buckets", names[3], "storageUtilized"), before["buckets"][3]["storageUtilized"][1])

    def late_storage(self, name, *, widest):
        """An LMDB folder with late sums, expiries and adjustments, in days round RANGE; amounts of up to `widest`."""
        data, storage = self.lmdb(name)
        chance = random.Random(11)
        env = {"UTAPI_MAX_AMOUNT": "0", "UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": "0"}
        times = [FIRST + number * harness.INTERVAL_MS for number in range(400)]

        def event(bucket, time_ms, **more):
            return harness.put_object(bucket, chance.randrange(1, widest), time_ms, user="lisa", location="us-east-1", **more)

        with harness.Server(data, env=env) as server:
            for start in range(0, 400, 50):
                self.assertEqual(server.push([event("even", t) for t in times[start : start + 50]]), 200)
            for _ in range(5):  # late ones, with hundreds of rows after them, one of them in an interval of its own
                late = [chance.choice(times[:300]) for _ in range(60)]
                self.assertEqual(server.push([event("even", t) for t in late] + [event("odd", t) for t in late]), 200)
            self.assertEqual(server.push([event("even", FIRST - 3 * harness.INTERVAL_MS)]), 200)
            self.assertEqual(server.push([event("gone", t) for t in times[:40]]), 200)
            gone = {"operationId": "deleteBucket", "bucket": "gone", "timestamp": times[20], "uuid": "gone"}
            self.assertEqual(server.push([gone]), 200)
        for bucket, amount, time_ms in (("even", "-70", times[10]), ("odd", "500", times[399])):
            self.utapictl("adjust", "buckets", bucket, f"--storage={amount}", "--at", str(time_ms), "--reason", "test", "--data", f"{data}/lmdb")
        self.utapictl("expire", "locations", "us-east-1", "--at", str(times[50]), "--reason", "test", "--data", f"{data}/lmdb")
        return data, storage

    def utapictl(self, *arguments):
        ran = subprocess.run([harness.UTAPICTL, *arguments], capture_output=True, text=True, timeout=60, check=False,
                             env=harness.server_environment())  # fmt: skip
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout

    def late_answers(self, server):
        """Usage at each level in ranges that begin and end where late events are, and around them."""
        names = {"buckets": ["even", "odd", "gone"], "users": ["lisa"], "locations": ["us-east-1"], "service": ["s3"],
                 "accounts": [harness.ACCOUNT_ID]}  # fmt: skip
        chance = random.Random(5)
        bounds = [sorted(chance.sample(range(-4, 405), 2)) for _ in range(40)]
        ranges = [RANGE] + [[FIRST + a * harness.INTERVAL_MS, FIRST + b * harness.INTERVAL_MS - 1] for a, b in bounds]
        return {(level, *range_): server.list(level, some, range_) for level, some in names.items() for range_ in ranges}

    def test_late_sums_and_acts_go_there_and_back(self):
        data, storage = self.late_storage("source", widest=1000)
        with harness.Server(data) as server:
            expected = self.late_answers(server)
        copy, copy_storage = self.lmdb("copy")
        back, back_storage = self.lmdb("back")
        self.migrate(storage, copy_storage)
        self.migrate(storage, self.redis.uri)
        self.migrate(self.redis.uri, back_storage)
        for folder in (data, copy, back):
            with harness.Server(folder) as server:
                self.assertEqual(self.late_answers(server), expected, folder)
        with harness.Server(os.path.join(self.folder, "on-redis"), "--redis", self.redis.uri, backend=None) as server:
            self.assertEqual(self.late_answers(server), expected)
        for folder in (copy, back):
            self.utapictl("check", f"{folder}/lmdb")

    def test_a_total_that_a_redis_cannot_hold_is_named(self):
        data, storage = self.late_storage("source", widest=2**63 - 1)
        with harness.Server(data) as server:
            expected = self.late_answers(server)
        said = self.migrate(storage, self.redis.uri, status=1)
        self.assertRegex(said, r"utapictl: service s3: storageUtilized: does not fit 64 bits")
        copy, copy_storage = self.lmdb("copy")
        self.migrate(storage, copy_storage)
        with harness.Server(copy) as server:
            self.assertEqual(self.late_answers(server), expected)

    def test_what_operators_did_goes_along(self):
        names = self.fill(self.redis)
        _, storage = self.lmdb("storage")
        folder = storage.removeprefix("lmdb:")
        self.migrate(self.redis.uri, storage)
        for i in range(3):
            self.utapictl("adjust", "buckets", names[i], "--storage", str(100 + i), "--reason", f"ticket {i}", "--data", folder)
        told = json.loads(self.utapictl("audit", "--json", "--data", folder))
        self.assertEqual(len(told), 3)
        self.assertEqual(told[0]["after"]["storageUtilized"] - told[0]["before"]["storageUtilized"], 102)

        second = self.start_redis("second")
        self.assertIn("3 rows of the audit", self.migrate(storage, second.uri))
        self.migrate(storage, second.uri)  # again: nothing is told twice
        _, storage = self.lmdb("again")
        self.migrate(second.uri, storage)
        again = json.loads(self.utapictl("audit", "--json", "--data", storage.removeprefix("lmdb:")))
        self.assertEqual(again, told)

    def test_a_run_that_was_killed_is_simply_repeated(self):
        names = self.fill(self.redis, buckets=60)
        data, storage = self.lmdb("storage")
        self.migrate(self.redis.uri, storage)
        expected = self.answers(data, names)

        data, storage = self.lmdb("killed")
        for round_number in range(8):
            process = self.start_migrate(self.redis.uri, storage)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05 * (round_number + 1) + random.random() * 0.1)
            process.kill()
            process.communicate()
        self.migrate(self.redis.uri, storage)
        self.assertEqual(self.answers(data, names), expected)

    def test_a_journal_goes_on_where_it_stopped(self):
        journal = {"UTAPI_JOURNAL": "true", "UTAPI_JOURNAL_PATH": os.path.join(self.folder, "journal")}
        second = self.start_redis("second")
        (first_data, first), (last_data, last) = self.lmdb("first"), self.lmdb("last")
        moves = [(first, first_data, ()), (self.redis.uri, first_data, ("--redis", self.redis.uri)),
                 (second.uri, first_data, ("--redis", second.uri)), (last, last_data, ())]  # fmt: skip
        stored, source = 0, None
        for storage, data, flags in moves:
            if source:
                self.migrate(source, storage)
                self.migrate(source, storage)
            with harness.Server(data, *flags, backend=None if flags else "lmdb", env=journal) as server:
                settle(server)
                self.assertEqual(server.storage("buckets", "photos"), stored)
                for size in (10, 20):
                    self.assertEqual(server.push([harness.put_object("photos", size)]), 200)
                    stored += size
                settle(server)
                self.assertEqual(server.storage("buckets", "photos"), stored)
            source = storage

    def test_an_event_that_waits_is_handed_over_to_the_target(self):
        journal = {"UTAPI_JOURNAL": "true", "UTAPI_JOURNAL_PATH": os.path.join(self.folder, "journal")}
        data, storage = self.lmdb("target")
        away = self.start_redis("away", durable="always")
        with harness.Server(data, "--redis", away.uri, backend=None, env=journal) as server:
            self.assertEqual(server.push([harness.put_object("photos", 10)]), 200)
            settle(server)
            away.stop()
            self.assertEqual(server.push([harness.put_object("photos", 5)]), 200)
        away.start()
        self.migrate(away.uri, storage)
        with harness.Server(data, env=journal) as server:
            settle(server)
            self.assertEqual(server.storage("buckets", "photos"), 15)

    def test_what_only_the_target_holds_is_not_lost_unasked(self):
        self.fill(self.redis, buckets=2)
        data, storage = self.lmdb("storage")
        with harness.Server(data) as server:
            self.assertEqual(server.push([harness.put_object("mine", 5, FIRST)]), 200)
        said = self.migrate(self.redis.uri, storage, status=1)
        self.assertIn("--overwrite", said)
        with harness.Server(data) as server:
            self.assertEqual(server.storage("buckets", "mine"), 5)
            self.assertEqual(server.storage("buckets", "bucket:1"), 0)
        self.migrate(self.redis.uri, storage, "--overwrite")
        with harness.Server(data) as server:
            self.assertEqual(server.storage("buckets", "mine"), 0)
            self.assertGreater(server.storage("buckets", "bucket:1"), 0)

    def test_a_password_need_not_stand_on_the_command_line(self):
        locked = self.start_redis("locked", password="geheim", tcp=True)
        locked.command("SET", f"s3:buckets:{FIRST}:b:PutObject", 3)
        data, storage = self.lmdb("storage")
        ran = self.migrate_by_variables(f"redis://:wrong@127.0.0.1:{locked.port}", storage)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("AUTH", ran.stderr)
        self.assertNotIn("wrong@", ran.stderr)
        ran = self.migrate_by_variables(f"redis://127.0.0.1:{locked.port}", storage)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("NOAUTH", ran.stderr)
        ran = self.migrate_by_variables(f"redis://:geheim@127.0.0.1:{locked.port}", storage)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(self.answers(data, ["b"])["buckets"][0]["operations"]["s3:PutObject"], 3)
        self.assertEqual(self.migrate_by_variables("", storage).returncode, 2)

    def test_a_key_of_another_type_keeps_nothing_else_back(self):
        names = self.fill(self.redis, buckets=4)
        odd = {
            "s3:buckets:bucket:1:storageUtilized": ("SET", "text"),
            f"s3:users:{FIRST}:odd:PutObject": ("RPUSH", "text"),
            f"s3:accounts:{FIRST}:odd:incomingBytes": ("SET", "9" * 30),
            "s3:location:odd:locationStorage": ("SADD", "text"),
            "s3:locations:far:storageUtilized": ("SET", "text"),
        }
        for key, (command, value) in odd.items():
            self.redis.command("DEL", key)
            self.redis.command(command, key, value)
        self.redis.command("SET", "s3:location:far:locationStorage", 7)
        data, storage = self.lmdb("storage")
        said = self.migrate(self.redis.uri, storage, status=1)
        for key in odd:
            self.assertIn(f"utapictl: not copied: {key}: ", said)
        self.assertIn("expected a number", said)
        self.assertIn('not asked for: buckets "bucket:1": s3:buckets:bucket:1:storageUtilized', said)
        self.assertRegex(said, "[56] keys or members were not copied")
        self.assertIn("All else is the same in both", said)
        answers = self.answers(data, names)
        self.assertEqual(answers["buckets"][1]["numberOfObjects"][1], 40)
        for number in (0, 2, 3):
            stored = self.redis.counter("buckets", names[number], "storageUtilized")
            self.assertEqual(answers["buckets"][number]["storageUtilized"][1], stored)
        self.assertGreater(answers["users"][1]["incomingBytes"], 0)

    def test_a_flow_between_two_intervals_is_named_and_left_out(self):
        names = self.fill(self.redis, buckets=2)
        key = f"s3:buckets:{FIRST + 1}:{names[0]}:PutObject"
        self.redis.command("SET", key, 1000)
        data, storage = self.lmdb("storage")
        said = self.migrate(self.redis.uri, storage, status=1)
        self.assertIn(f"not copied: {key}: its time is no multiple of 15 minutes", said)
        self.assertIn("1 keys or members were not copied", said)
        self.assertLess(self.answers(data, names)["buckets"][0]["operations"]["s3:PutObject"], 1000)
        second = self.start_redis("second")
        second.command("SET", key, 1000)
        self.assertIn("no multiple of 15 minutes", self.migrate(storage, second.uri, status=1))
        self.assertEqual(second.command("DBSIZE"), 1)

    def test_a_key_of_which_nobody_can_tell_whose_it_is_is_told_to_be_why_answers_differ(self):
        names = self.fill(self.redis, buckets=2)
        key = f"s3:buckets:{FIRST}:{names[0]}:PutObject"
        self.redis.command("INCRBY", key, 1000)
        self.redis.command("ZADD", f"s3:buckets:{FIRST}:{names[0]}:+utapid:odd", 0, 0)
        data, storage = self.lmdb("storage")
        said = self.migrate(self.redis.uri, storage, status=1)
        self.assertIn(f"not copied: {key}: counted at that time, or in 1970", said)
        self.assertIn("all that was copied is the same in both", said)
        self.assertNotIn("written to meanwhile", said)
        self.redis.command("DEL", f"s3:buckets:{FIRST}:{names[0]}:+utapid:odd")
        self.migrate(self.redis.uri, storage)
        self.assertGreater(self.answers(data, names)["buckets"][0]["operations"]["s3:PutObject"], 1000)

    def test_a_state_at_no_interval_is_named_and_keeps_nothing_else_back(self):
        names = self.fill(self.redis, buckets=2)
        for score in ("inf", "1000000000000000000", "-900000", FIRST + 1, f"{FIRST}.5", f"{FIRST - 1}.5"):
            key = f"s3:buckets:strange{score}:storageUtilized"
            self.redis.command("ZADD", key, score, "5:u")
            data, storage = self.lmdb(f"storage{score}")
            said = self.migrate(self.redis.uri, storage, status=1)
            self.assertIn(f"not copied: {key}: a member at a time that no interval begins with", said)
            again = self.migrate(self.redis.uri, storage, status=1)
            self.assertNotIn("the source knows nothing of", again)
            stored = self.redis.counter("buckets", names[0], "storageUtilized")
            self.assertEqual(self.answers(data, names)["buckets"][0]["storageUtilized"][1], stored)
            self.redis.command("DEL", key)

    def test_a_state_below_zero_is_the_same_in_both(self):
        names = self.fill(self.redis, buckets=2)
        late = FIRST + 3500 * harness.INTERVAL_MS
        self.redis.command("ZADD", f"s3:buckets:{names[0]}:storageUtilized", late, "-5:u")
        self.redis.command("ZADD", f"s3:buckets:{names[1]}:storageUtilized", late, "-5:u", late + harness.INTERVAL_MS, "7:u")
        data, storage = self.lmdb("storage")
        self.assertNotIn("not copied", self.migrate(self.redis.uri, storage))
        answers = self.answers(data, names)["buckets"]
        self.assertEqual([answer["storageUtilized"][1] for answer in answers], [0, 7])

    def test_a_name_with_a_nul_is_named_and_left_out(self):
        names = self.fill(self.redis, buckets=1)
        self.redis.command("SET", f"s3:buckets:{FIRST}:a\0b:PutObject", 5)
        self.redis.command("ZADD", "s3:buckets:a\0b:storageUtilized", FIRST, "5:u")
        self.redis.command("SET", "s3:location:a\0b:locationStorage", 5)
        data, storage = self.lmdb("storage")
        said = self.migrate(self.redis.uri, storage, status=1)
        for key in (rf"s3:buckets:{FIRST}:a\0b:PutObject", r"s3:buckets:a\0b:storageUtilized", r"s3:location:a\0b:locationStorage"):
            self.assertIn(f"not copied: {key}: a name with a NUL", said)
        self.assertIn("3 keys or members were not copied", said)
        self.assertNotIn("not asked for", said)
        self.assertEqual(self.answers(data, [*names, "a"])["buckets"][1]["operations"]["s3:PutObject"], 0)

    def test_what_was_counted_at_a_strange_time_is_copied_too(self):
        """Before there was Utapi, and by a clock that is far ahead."""
        names = ["old", "early", "0:none", "ahead"]
        times = [1_420_070_400_000, harness.INTERVAL_MS, 0, 9_999_999_900_000]
        for number, (name, time) in enumerate(zip(names, times, strict=True)):
            self.redis.command("SET", f"s3:buckets:{time}:{name}:PutObject".replace(":0:0:", ":0:"), number + 1)
        data, storage = self.lmdb("storage")
        self.assertIn("4 resources are the same", self.migrate(self.redis.uri, storage))
        with harness.Server(data) as server:
            ever = server.list("buckets", names, [0, times[-1] + harness.INTERVAL_MS - 1])
        self.assertEqual([answer["operations"]["s3:PutObject"] for answer in ever], [1, 2, 3, 4])

    def test_a_redis_is_walked_through_for_many_names_at_once(self):
        self.fill(self.redis, buckets=60)
        _, storage = self.lmdb("storage")
        steps, cursor = 0, "0"
        while steps == 0 or cursor != "0":
            cursor = self.redis.command("SCAN", cursor, "COUNT", 1000)[0]
            steps += 1
        self.redis.command("CONFIG", "RESETSTAT")
        self.assertIn("180 resources are the same", self.migrate(self.redis.uri, storage))
        calls = self.redis.command("INFO", "commandstats").split("cmdstat_scan:calls=")[1]
        self.assertLess(int(calls.split(",")[0]), 40 * steps)

    def test_an_answer_that_differs_is_told_with_its_metric(self):
        names = self.fill(self.redis, buckets=2)
        _, storage = self.lmdb("storage")
        self.migrate(self.redis.uri, storage)
        # Its sum of that day is kept, and a Node client that counts there so late knows nothing of it.
        self.redis.command("INCRBY", f"s3:buckets:{FIRST}:{names[0]}:PutObject", 1000)
        said = self.migrate(self.redis.uri, storage, status=1)
        self.assertRegex(said, rf'buckets "{names[0]}" from \d+ to \d+: PutObject is (\d+), 1\d\d\d in the target')
        self.assertIn("they still differ in 0 changes", said)
        for pattern in ("[0-9m]*", "since"):
            for key in self.redis.command("KEYS", f"s3:buckets:*:+utapid:{pattern}"):
                self.redis.command("DEL", key)
        self.migrate(self.redis.uri, storage)

    def test_a_target_with_a_key_of_another_type_is_not_written(self):
        self.fill(self.redis, buckets=1)
        second = self.start_redis("second")
        second.command("SET", "s3:buckets:mine:storageUtilized", "text")
        _, storage = self.lmdb("storage")
        self.migrate(self.redis.uri, storage)
        self.assertIn("s3:buckets:mine:storageUtilized: ", self.migrate(storage, second.uri, status=1))
        self.assertEqual(second.command("DBSIZE"), 1)

    def test_a_redis_that_writes_its_file_anew_is_waited_for(self):
        names = self.fill(self.redis, buckets=3)
        data, storage = self.lmdb("storage")
        self.migrate(self.redis.uri, storage)
        second = self.start_redis("second", durable="everysec")
        said = self.migrate(storage, second.uri)
        self.assertIn("waiting, for at most 11 minutes: Redis was started", said)
        self.assertEqual(second.rewrites(), 1)
        self.assertEqual(second.newest_state("buckets", names[1], "storageUtilized"),
                         self.answers(data, names)["buckets"][1]["storageUtilized"][1])  # fmt: skip

    def test_a_target_that_cannot_be_reached_is_not_waited_for(self):
        self.fill(self.redis, buckets=1)
        said = self.migrate(self.redis.uri, f"redis://127.0.0.1:{redis_server.free_port()}", status=1)
        self.assertIn("Connection refused", said)
        self.assertNotIn("waiting", said)

    def test_another_component_has_a_name(self):
        self.redis.command("SET", f"s4:buckets:{FIRST}:b:PutObject", 3)
        data, storage = self.lmdb("storage")
        self.migrate(f"{self.redis.uri}?prefix=s4", storage)
        self.assertEqual(self.answers(data, ["b"])["buckets"][0]["operations"]["s3:PutObject"], 3)

    def test_what_cannot_work_is_said(self):
        data, storage = self.lmdb("storage")
        self.assertIn("nothing is stored there", self.migrate(self.redis.uri, storage, status=1))
        self.assertIn("there is no", self.migrate(f"lmdb:{self.folder}/none", self.redis.uri, status=1))
        self.assertIn("?prefix=COMPONENT", self.migrate(self.redis.uri, storage, status=1))
        self.assertIn("--from: expected", self.migrate("mongodb://here", storage, status=1))
        self.assertIn("--from: expected", self.migrate("lmdb:", storage, status=1))
        self.assertIn("are the same", self.migrate(storage, storage, status=2))
        self.assertIn("--to: expected", self.migrate(self.redis.uri, "memory:here", status=1))
        with harness.Server(data) as server:
            self.assertEqual(server.push([harness.put_object("mine", 5)]), 200)
            self.assertIn("another process", self.migrate(storage, self.redis.uri, status=1))


if __name__ == "__main__":
    harness.main()
