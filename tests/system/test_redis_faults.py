# SPDX-License-Identifier: Apache-2.0
"""Redis breaks in every way that it knows while events flow; afterwards the count is exact, without a hand's help."""

import os
import random
import time

from flowing import SIZE, check_counts, check_keys, flowing, health, settle
from harness import INTERVAL_MS, interval_of, main, now_ms, put_object, range_around
from redis_proxy import LOST, Proxy
from redis_server import REDIS_SENTINEL, Sentinel, free_port, wait_for
from test_redis import OnRedis

MASTER = "utapi"


class Faults(OnRedis):
    """Each test breaks something; trouble() runs the server and the flow round it, and counts."""

    def trouble(self, break_it, *settings, **options):
        redis = self.redis(*settings, **options).start()
        since_ms = now_ms()
        with self.server_on(redis) as server:
            with flowing(lambda: server) as flow:
                flow.wait_for_more(100)
                break_it(redis, flow, server)
                flow.wait_for_more(100)
            settle(server)
            self.assertEqual(flow.refusals(), 0, "somebody was refused")
            check_counts(server, flow.counts(), since_ms)
            check_keys(redis, flow.counts())
            seen = health(server)["journal"]
            self.assertEqual((seen["refused"], seen["lost"]), (0, 0))

    def test_kill_9_and_restart(self):
        def kill_it(redis, flow, server):
            for _ in range(3):
                redis.kill()
                flow.wait_for_more(100)
                redis.start()
                wait_for(lambda: health(server)["status"] == "ok", "a connection")

        self.trouble(kill_it)

    def test_a_lost_tail_is_sent_again(self):
        """A machine that lost power: the end of Redis's file is not there."""

        def forget(redis, flow, server):
            for share in (0.9, 0.5, 0.7):
                redis.wait_for_rewrite()
                redis.kill()
                path = redis.append_only_file()
                os.truncate(path, int(os.path.getsize(path) * share))
                redis.start()
                flow.wait_for_more(100)
                wait_for(lambda: health(server)["status"] == "ok", "a connection")

        self.trouble(forget, "aof-load-truncated yes")

    def test_a_file_cut_at_any_byte_is_made_good(self):
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}")
        chance = random.Random(seed)

        def cut(redis, flow, server):
            for _ in range(4):
                redis.wait_for_rewrite()
                redis.kill()
                path = redis.append_only_file()
                os.truncate(path, chance.randrange(os.path.getsize(path) + 1))
                redis.start()
                wait_for(lambda: health(server)["status"] == "ok", "a connection")
                flow.wait_for_more(50)

        self.trouble(cut, "aof-load-truncated yes")

    def test_half_a_transaction_in_redis_file_is_never_carried_out(self):
        """It waits there for another start: then what was sent again would count twice."""

        def cut(redis, flow, server):
            for _ in range(3):
                settle(server)  # something is in the file
                redis.kill()
                redis.cut_within_a_transaction()
                redis.start()
                flow.wait_for_more(50)
                settle(server)  # it is sent again
                redis.stop()
                redis.start()
                flow.wait_for_more(50)
                settle(server)
                self.assertEqual(redis.rewrites(), 1)

        self.trouble(cut, "aof-load-truncated yes")

    def test_a_file_that_may_not_be_written_anew_holds_nothing_up(self):
        def allow(redis, flow, server):
            wait_for(lambda: "BGREWRITEAOF" in health(server).get("trouble", ""), "word of BGREWRITEAOF")
            wait_for(lambda: redis.counter("buckets", "flow-0", "numberOfObjects") > 50, "events in Redis")
            redis.command("ACL", "SETUSER", "default", "+bgrewriteaof")
            redis.command("BGREWRITEAOF")

        self.trouble(allow, "user default on nopass ~* &* +@all -bgrewriteaof")

    def test_a_redis_that_stands_still(self):
        def stand_still(redis, flow, server):
            redis.pause()
            time.sleep(5)
            flow.wait_for_more(100)
            redis.go_on()

        self.trouble(stand_still)

    def test_a_redis_that_stands_still_for_longer_than_the_time_out(self):
        def stand_still(redis, flow, server):
            redis.pause()
            wait_for(lambda: health(server)["status"] == "degraded", "degraded")
            redis.go_on()

        self.trouble(stand_still)

    def test_script_flush(self):
        def flush(redis, flow, server):
            for _ in range(10):
                redis.command("SCRIPT", "FLUSH")
                flow.wait_for_more(20)

        self.trouble(flush)

    def test_a_flushed_database_is_filled_again(self):
        """Nothing is left, the fences and uuids least of all: all that the journal keeps is sent again, and counts once."""

        def flush(redis, flow, server):
            for command in ("FLUSHDB", "FLUSHALL", "FLUSHDB"):
                redis.command(command)
                flow.wait_for_more(100)

        self.trouble(flush)

    def test_a_database_flushed_at_rest_is_filled_again(self):
        """By two starts of a utapid: the journal asks where the fence of each stands."""
        redis = self.redis().start()
        since_ms = now_ms()
        for events in (1, 2):
            with self.server_on(redis) as server:
                self.assertEqual(server.push([put_object("photos", SIZE)]), 200)
                settle(server)
                redis.command("FLUSHDB")
                wait_for(lambda: redis.counter("buckets", "photos", "numberOfObjects") == events, "all of it again")
                settle(server)
                check_counts(server, {"photos": events}, since_ms)
                check_keys(redis, {"photos": events})

    def test_client_kill(self):
        def kill_clients(redis, flow, server):
            for _ in range(10):
                redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                flow.wait_for_more(20)

        self.trouble(kill_clients)

    def test_out_of_memory(self):
        def starve(redis, flow, server):
            redis.command("CONFIG", "SET", "maxmemory", 1)
            flow.wait_for_more(100)
            wait_for(lambda: health(server)["status"] == "degraded", "degraded")
            self.check_that_questions_are_answered(server, flow)
            redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            self.check_that_questions_are_answered(server, flow)
            redis.command("CONFIG", "SET", "maxmemory", 0)

        self.trouble(starve)

    def check_that_questions_are_answered(self, server, flow):
        """With what was acknowledged by then, for days that have no summaries; a 503 would be raised."""
        for bucket, events in flow.counts().items():
            answers = server.list("buckets", [bucket], range_around(now_ms() - 3 * 86400000, now_ms()))
            self.assertGreaterEqual(answers[0]["operations"]["s3:PutObject"], events)

    def test_a_master_that_becomes_read_only(self):
        def demote(redis, flow, server):
            redis.command("REPLICAOF", "127.0.0.1", free_port())
            flow.wait_for_more(100)
            wait_for(lambda: health(server)["status"] == "degraded", "degraded")
            redis.command("REPLICAOF", "NO", "ONE")

        self.trouble(demote)


class LostReplies(OnRedis):
    """What Redis carried out and nobody heard of is not carried out again."""

    def proxy_before(self, redis):
        proxy = Proxy(redis.address)
        self.addCleanup(proxy.close)
        return proxy

    def lose_each(self, proxy, script, most, meanwhile):
        """Each of the first runs of a script, in each way; `meanwhile` sends events, which one run may take together."""
        for nth in range(1, most + 1):
            for what in LOST:
                wanted = len(proxy.lost) + 1
                proxy.lose(nth, script, what)
                wait_for(lambda: meanwhile() or len(proxy.lost) == wanted, f"{what} to {script} {nth} lost")
        done = [reply for what, seen, reply in proxy.lost if seen == script and what != "the command"]
        self.assertEqual(len(done), 2 * most)
        self.assertNotIn(b"", done, "Redis did not carry it out")

    def test_replies_lost_while_events_flow(self):
        redis = self.redis().start()
        proxy = self.proxy_before(redis)
        since_ms = now_ms()
        with self.server("--redis", proxy.uri, backend=None) as server:
            with flowing(lambda: server) as flow:
                self.lose_each(proxy, "apply", 6, lambda: flow.wait_for_more(20))
            settle(server)
            self.assertEqual(flow.refusals(), 0, "somebody was refused")
            check_counts(server, flow.counts(), since_ms)
            check_keys(redis, flow.counts())
        self.assertTrue(any(b"\r\nOK\r\n" in reply for _, _, reply in proxy.lost), "nothing was lost that counted")

    def test_replies_lost_while_late_events_shift_states(self):
        redis = self.redis().start()
        proxy = self.proxy_before(redis)
        first_ms = interval_of(now_ms()) - 250 * INTERVAL_MS
        times = [first_ms + i * INTERVAL_MS for i in range(251)]
        late = []

        def push_late():
            late.append(first_ms)
            self.assertEqual(server.push([put_object("late", SIZE, first_ms)]), 200)

        with self.server("--redis", proxy.uri, backend=None) as server:
            self.assertEqual(server.push([put_object("late", SIZE, time_ms) for time_ms in times]), 200)
            settle(server)
            for script in ("apply", "correct"):
                self.lose_each(proxy, script, 4, push_late)
            settle(server)
            for i in (0, 1, 63, 64, 100, 186, 187, 249, 250):
                answer = server.list("buckets", ["late"], [first_ms, times[i] + INTERVAL_MS - 1])[0]
                wanted = i + 1 + len(late)
                self.assertEqual(answer["numberOfObjects"], [1 + len(late), wanted], i)
                self.assertEqual(answer["storageUtilized"][1], wanted * SIZE, i)
                self.assertEqual(answer["operations"]["s3:PutObject"], wanted, i)
        self.assertEqual(redis.counter("buckets", "late", "numberOfObjects"), len(times) + len(late))


class FullJournal(OnRedis):
    def test_a_journal_that_fills_while_events_flow(self):
        redis = self.redis().start()
        since_ms = now_ms()
        filled = 0
        with self.server_on(redis, env={"UTAPI_JOURNAL_MAX_SIZE": "4 MiB"}) as server:
            with flowing(lambda: server) as flow:
                flow.wait_for_more(100)
                redis.kill()
                request = [put_object("filling", SIZE, object="o" * 500) for _ in range(200)]
                while server.push(request) == 200:
                    filled += len(request)
                    request = [put_object("filling", SIZE, object="o" * 500) for _ in range(200)]
                wait_for(lambda: flow.refusals() > 20, "503 for all")
                redis.start()
                wait_for(lambda: server.push(request) == 200, "room in the journal")
                flow.wait_for_more(100)
            settle(server)
            counts = {**flow.counts(), "filling": filled + len(request)}
            check_counts(server, counts, since_ms)
            check_keys(redis, counts)


class KilledServer(OnRedis):
    def test_utapid_kill_9(self):
        redis = self.redis().start()
        since_ms = now_ms()
        current = [self.server_on(redis)]
        try:
            with flowing(lambda: current[0]) as flow:
                for pause_s in (0.3, 0.05, 0.6, 0.2, 0.9):
                    flow.wait_for_more(50)
                    time.sleep(pause_s)
                    current[0].kill()
                    current[0] = self.server_on(redis, port=current[0].port)
            settle(current[0])
            check_counts(current[0], flow.counts(), since_ms)
            check_keys(redis, flow.counts())
            current[0].stop()
        finally:
            current[0].kill()

    def test_utapid_and_redis_kill_9(self):
        redis = self.redis().start()
        since_ms = now_ms()
        current = [self.server_on(redis)]
        try:
            with flowing(lambda: current[0]) as flow:
                for _ in range(3):
                    flow.wait_for_more(50)
                    redis.kill()
                    current[0].kill()
                    current[0] = self.server_on(redis, port=current[0].port)
                    flow.wait_for_more(50)
                    redis.start()
            settle(current[0])
            check_counts(current[0], flow.counts(), since_ms)
            check_keys(redis, flow.counts())
            current[0].stop()
        finally:
            current[0].kill()


class Failover(OnRedis):
    def setUp(self):
        if REDIS_SENTINEL is None:
            self.skip_or_fail("redis-sentinel is not installed")
        super().setUp()

    def start_all(self):
        """A master, two replicas, and three Sentinels that have found each other."""
        master = self.redis(name="master", tcp=True).start()
        replicas = [self.redis(f"replicaof 127.0.0.1 {master.port}", name=f"replica-{i}", tcp=True) for i in range(2)]
        sentinels = [Sentinel(self.folder, master, f"sentinel-{i}", MASTER) for i in range(3)]
        for process in (*replicas, *sentinels):
            self.addCleanup(process.kill)
            process.start()
        wait_for(lambda: all(sentinel.knows(2, 2) for sentinel in sentinels), "Sentinels that know each other")
        return master, replicas, sentinels

    def test_a_failover_loses_nothing(self):
        master, replicas, sentinels = self.start_all()
        since_ms = now_ms()
        flags = ["--redis", f"redis-sentinel://{','.join(f'127.0.0.1:{s.port}' for s in sentinels)}/{MASTER}"]
        with self.server(*flags, backend=None) as server:
            with flowing(lambda: server) as flow:
                flow.wait_for_more(200)
                sentinels[0].kill()  # the first that is asked; two still agree
                master.kill()
                promoted = self.wait_for_promotion(sentinels[1], replicas)
                flow.wait_for_more(200)
                wait_for(lambda: health(server)["status"] == "ok", "the new master in use")
                master.start()  # a Sentinel makes it a replica: what only it had is gone
                flow.wait_for_more(100)
            settle(server)
            check_counts(server, flow.counts(), since_ms)
            check_keys(promoted, flow.counts())

    def wait_for_promotion(self, sentinel, replicas):
        ports = {replica.port: replica for replica in replicas}
        return wait_for(lambda: ports.get(sentinel.master_port()), "a new master")


if __name__ == "__main__":
    main()
