# SPDX-License-Identifier: Apache-2.0
"""What operators do: docs/repairing.md is walked as written, and acts count once whatever becomes of Redis meanwhile."""

import concurrent.futures
import fcntl
import json
import os
import subprocess
import threading
import time
import uuid

from flowing import check_counts, flowing, health, settle
from harness import ACCESS_KEY, CANONICAL_ID, SECRET_KEY, UTAPICTL, SystemTest, main, now_ms, put_object, range_around
from harness import server_environment
from redis_server import wait_for
from test_docs import commands_of
from test_redis import OnRedis
from test_redis_faults import MASTER, Failover

HOUR_MS = 3_600_000
NOBODY = 65534


def admin(server, *arguments, **options):
    """utapictl with the folder of a server: (exit code, what it prints on both streams)."""
    folder = server.command[server.command.index("--data") + 1]
    ran = subprocess.run(
        [UTAPICTL, *arguments, "--data", folder], capture_output=True, text=True, timeout=60, check=False,
        env=server_environment(), **options,
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


def audit(server):
    code, printed = admin(server, "audit", "--json")
    assert code == 0, printed
    return json.loads(printed)


class Walk:
    """Each section's commands, run in order by bash."""

    def walk(self, server, heading):
        with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "repairing.md"), encoding="utf-8") as file:
            section = file.read().split(f"\n## {heading}\n")[1].split("\n## ")[0]
        commands = [block for block in commands_of("docs/repairing.md") if block in section]
        self.assertTrue(commands, heading)
        script = "\n".join(commands).replace("utapictl list", f"utapictl list -p {server.port}")
        ran = subprocess.run(
            ["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=120, check=False,
            env=server_environment({
                "PATH": os.path.dirname(UTAPICTL) + os.pathsep + os.environ["PATH"],
                "UTAPI_DATA_DIR": server.command[server.command.index("--data") + 1],
                "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            }),
        )  # fmt: skip
        self.assertEqual(ran.returncode, 0, f"{script}\n{ran.stdout}\n{ran.stderr}")
        return ran.stdout

    def figures(self, server, level, name, time_ms):
        answer = server.list(level, [name], range_around(time_ms))[0]
        return (answer["storageUtilized"][1], answer["numberOfObjects"][1], answer["incomingBytes"],
                answer["operations"]["s3:PutObject"])  # fmt: skip

    def repair(self, server):
        wrong_ms = now_ms() - 2 * HOUR_MS
        ours = [put_object("photos", 1000, wrong_ms) for _ in range(3)]
        theirs = [put_object("photos", 70, wrong_ms) for _ in range(2)]
        self.assertEqual(server.push(ours + theirs), 200)
        printed = self.walk(server, "A bucket was billed wrong")
        self.assertEqual(printed.count("nothing was done"), 1)
        self.assertEqual(printed.count("3,140 -> 140"), 8)  # stored and incoming, each of the four times
        for level, name in (("buckets", "photos"), ("accounts", "123456789012"), ("service", "s3")):
            self.assertEqual(self.figures(server, level, name, wrong_ms), (140, 2, 140, 2), level)

        early_ms, late_ms = now_ms() - 2 * HOUR_MS, now_ms() - HOUR_MS
        self.assertEqual(server.push([put_object("videos", 500, late_ms)]), 200)
        self.walk(server, "An event was counted at a wrong time")
        self.assertEqual(self.figures(server, "buckets", "videos", late_ms), (500, 1, 0, 0))
        self.assertEqual(self.figures(server, "buckets", "videos", early_ms), (500, 1, 500, 1))

        self.assertEqual(server.push([put_object("attic", 9)]), 200)
        self.assertIn("9 -> 0", self.walk(server, "A bucket is gone and still shows"))
        self.assertEqual(server.storage("buckets", "attic"), 0)
        self.assertEqual(server.push([put_object("attic", 4, now_ms() + 1)]), 200)
        self.assertEqual(server.storage("buckets", "attic"), 4)

        story = self.walk(server, "See who did what")
        self.assertIn("ticket 4711: our own test upload", story)
        rows = audit(server)
        self.assertEqual(
            [(row["action"], row["level"], row["resource"], row["reason"][:11]) for row in reversed(rows)],
            [
                ("adjust", "buckets", "photos", "ticket 4711"),
                ("adjust", "accounts", CANONICAL_ID, "ticket 4711"),
                ("adjust", "service", "s3", "ticket 4711"),
                ("adjust", "buckets", "videos", "ticket 4712"),
                ("adjust", "buckets", "videos", "ticket 4712"),
                ("expire", "buckets", "attic", "ticket 4713"),
            ],
        )
        first = rows[-1]
        self.assertEqual((first["before"]["storageUtilized"], first["after"]["storageUtilized"]), (3140, 140))
        self.assertEqual(first["before"]["operations"], {"s3:PutObject": 5})
        self.assertEqual(first["after"]["operations"], {"s3:PutObject": 2})
        self.assertTrue(first["who"].startswith(f"uid {os.getuid()}"))


class Repairing(Walk, SystemTest):
    def test_lmdb(self):
        with self.server() as server:
            self.repair(server)

    def test_lmdb_behind_a_journal(self):
        with self.server(env={"UTAPI_JOURNAL": "true"}) as server:
            self.repair(server)

    def test_memory(self):
        os.makedirs(os.path.join(self.folder, "lmdb"))  # what is in memory needs no folder; its socket does
        with self.server(backend="memory") as server:
            self.repair(server)

    def test_another_user_is_told_why_not(self):
        if os.getuid() != 0:
            self.skipTest("only root can be somebody else")
        with self.server() as server:
            code, printed = admin(server, "audit", user=NOBODY)
        self.assertEqual(code, 1)
        self.assertIn("Permission denied", printed)


class SharingAFolder(SystemTest):
    """utapid and utapictl, each of which opens the folder where the other has not."""

    def hold(self, seconds):
        """Has the folder for so long, as another utapictl would."""
        lock = open(os.path.join(self.folder, "lmdb", "utapi.lock"), "a", encoding="utf-8")
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(seconds, lock.close)
        timer.start()
        self.addCleanup(timer.join)

    def test_one_who_has_it_shortly_is_waited_for(self):
        self.server().stop()
        self.hold(0.5)
        with self.server() as server:
            pass
        for arguments in (("adjust", "buckets", "photos", "--storage", "1", "--reason", "r"), ("audit",)):
            self.hold(3)  # as a server that starts, and is not listening yet
            code, printed = admin(server, *arguments)
            self.assertEqual(code, 0, printed)

    def test_acts_through_kills_and_restarts(self):
        server = self.server()
        is_over = threading.Event()

        def adjust_until_over():
            done = 0
            while not is_over.is_set():
                code, printed = admin(server, "adjust", "buckets", "photos", "--storage", "1", "--reason", "r")
                assert code == 0, printed
                done += 1
                time.sleep(0.05)
            return done

        with concurrent.futures.ThreadPoolExecutor() as pool:
            clerks = [pool.submit(adjust_until_over) for _ in range(2)]
            try:
                for _ in range(5):
                    time.sleep(0.3)
                    server.kill()
                    server = self.server()
            finally:
                is_over.set()
            done = sum(clerk.result() for clerk in clerks)
        with server:
            self.assertEqual(server.storage("buckets", "photos"), done)
            self.assertEqual(len(audit(server)), done)


class RepairingOnRedis(Walk, OnRedis):
    def test_redis(self):
        redis = self.redis().start()
        with self.server_on(redis) as server:
            self.repair(server)
            self.assertEqual(redis.command("LLEN", "s3:utapid:audit"), 6)


class Acts(Failover):
    """Adjustments while events flow; each is repeated, and counts once."""

    test_a_failover_loses_nothing = None  # it is run where it is written

    def act(self, server, expected, codes=(0,)):
        """A new adjustment of a bucket by 1,000 bytes."""
        one = uuid.uuid4().hex
        seen, printed = admin(server, "adjust", "buckets", "by-hand", "--storage", "1000", "--reason", "to see", "--id", one)
        self.assertIn(seen, codes, printed)
        expected.append(one)

    def repeat(self, server, ids):
        for one in ids:
            code, printed = admin(server, "adjust", "buckets", "by-hand", "--storage", "1000", "--reason", "to see", "--id", one)
            self.assertEqual(code, 0, printed)

    def check(self, server, ids):
        settle(server)
        self.assertEqual(server.storage("buckets", "by-hand"), 1000 * len(ids))
        self.assertEqual(sorted(row["id"] for row in audit(server)), sorted(ids))
        seen = health(server)["journal"]
        self.assertEqual((seen["refused"], seen["lost"]), (0, 0))

    def test_a_failover_loses_no_act_and_doubles_none(self):
        master, replicas, sentinels = self.start_all()
        since_ms, ids = now_ms(), []
        flags = ["--redis", f"redis-sentinel://{','.join(f'127.0.0.1:{s.port}' for s in sentinels)}/{MASTER}"]
        with self.server(*flags, backend=None) as server:
            with flowing(lambda: server) as flow:
                flow.wait_for_more(100)
                for _ in range(3):
                    self.act(server, ids)
                for replica in replicas:  # what is done from here on the master alone has
                    replica.pause()
                for _ in range(3):
                    self.act(server, ids)
                self.assertEqual(master.command("LLEN", "s3:utapid:audit"), 6)
                master.kill()
                for replica in replicas:
                    replica.go_on()
                self.act(server, ids, codes=(0, 3))  # accepted; done once there is a master
                promoted = self.wait_for_promotion(sentinels[1], replicas)
                wait_for(lambda: health(server)["status"] == "ok", "the new master in use")
                flow.wait_for_more(100)
            self.repeat(server, ids)
            self.check(server, ids)
            check_counts(server, flow.counts(), since_ms)
            wait_for(lambda: promoted.command("LLEN", "s3:utapid:audit") == 7, "the audit")  # or a copy of it, if it fell back
            wait_for(lambda: promoted.command("HLEN", "s3:utapid:audited") == 7, "the ids")

    def test_a_lost_tail_and_a_killed_utapid(self):
        redis = self.redis("aof-load-truncated yes").start()
        ids = []
        server = self.server_on(redis)
        try:
            for share in (0.7, 0.4):
                for _ in range(3):
                    self.act(server, ids)
                redis.wait_for_rewrite()
                redis.kill()
                path = redis.append_only_file()
                os.truncate(path, int(os.path.getsize(path) * share))
                self.act(server, ids, codes=(3,))
                server.kill()
                redis.start()
                server = self.server_on(redis)
                self.repeat(server, ids[::2])
                self.check(server, ids)
            server.stop()
        finally:
            server.kill()


# The cases of the modules that these stand on are run there.
del OnRedis, Failover

if __name__ == "__main__":
    main()
