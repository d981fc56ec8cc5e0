# SPDX-License-Identifier: Apache-2.0
"""Redis breaks in every way that it knows while events flow; afterwards the count is exact, without a hand's help."""

import os
import time

from flowing import check_counts, check_keys, flowing, health, settle
from harness import main, now_ms
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
                redis.kill()
                path = redis.append_only_file()
                os.truncate(path, int(os.path.getsize(path) * share))
                redis.start()
                redis.rewrite_append_only_file()
                flow.wait_for_more(100)
                wait_for(lambda: health(server)["status"] == "ok", "a connection")

        self.trouble(forget, "aof-load-truncated yes")

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
            redis.command("CONFIG", "SET", "maxmemory", 0)

        self.trouble(starve)

    def test_a_master_that_becomes_read_only(self):
        def demote(redis, flow, server):
            redis.command("REPLICAOF", "127.0.0.1", free_port())
            flow.wait_for_more(100)
            wait_for(lambda: health(server)["status"] == "degraded", "degraded")
            redis.command("REPLICAOF", "NO", "ONE")

        self.trouble(demote)


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
