# SPDX-License-Identifier: Apache-2.0
"""Many utapid write one bucket in one Redis at the same time: in every round the listed state is the counter.

    python3 test_redis_writers.py [--rounds N] [--writers N] [--seed N]
"""

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from flowing import settle
from harness import Server, now_ms, put_object, range_around
from redis_server import REDIS_SERVER, Redis


def push_at_once(servers, connections, bucket, sizes):
    """One request of each server, all at the same moment; whether all were taken."""
    barrier = threading.Barrier(len(servers))
    statuses = [0] * len(servers)

    def push(i):
        events = [put_object(bucket, size) for size in sizes[i]]
        barrier.wait()
        statuses[i] = servers[i].push(events, connections[i])

    threads = [threading.Thread(target=push, args=(i,)) for i in range(len(servers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(status == 200 for status in statuses)


def run_round(redis, servers, connections, bucket, chance):
    sizes = [[chance.randrange(1, 1000) for _ in range(chance.choice((1, 1, 3)))] for _ in servers]
    since_ms = now_ms()
    assert push_at_once(servers, connections, bucket, sizes), f"{bucket}: a request was not taken"
    for server in servers:
        settle(server)
    wanted = sum(map(sum, sizes)), sum(map(len, sizes))
    counters = tuple(redis.counter("buckets", bucket, name) for name in ("storageUtilized", "numberOfObjects"))
    assert counters == wanted, f"{bucket}: the counters are {counters}, not {wanted}"
    answer = chance.choice(servers).list("buckets", [bucket], range_around(since_ms, now_ms()))[0]
    listed = answer["storageUtilized"][1], answer["numberOfObjects"][1]
    assert listed == wanted, f"{bucket}: {listed} is listed, not {wanted}"
    newest = tuple(redis.newest_state("buckets", bucket, name) for name in ("storageUtilized", "numberOfObjects"))
    assert newest == wanted, f"{bucket}: the newest states are {newest}, not {wanted}"


def run(folder, rounds, writers, seed):
    chance = random.Random(seed)
    redis = Redis(folder).start()
    try:
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(Server(os.path.join(folder, f"utapid-{i}"), "--redis", redis.uri, backend=None))
                for i in range(writers)
            ]
            connections = [stack.enter_context(contextlib.closing(server.connect())) for server in servers]
            for number in range(rounds):
                run_round(redis, servers, connections, f"bucket-{number}", chance)
    finally:
        redis.kill()


def main():
    arguments = argparse.ArgumentParser(description="many utapid, one bucket")
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--writers", type=int, default=8)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    chosen = arguments.parse_args()
    if REDIS_SERVER is None:
        sys.exit(1 if os.environ.get("UTAPI_CI") == "1" else 77)
    print(f"seed {chosen.seed}")
    folder = tempfile.mkdtemp(prefix="utapi-writers-")
    try:
        run(folder, chosen.rounds, chosen.writers, chosen.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{chosen.rounds} rounds of {chosen.writers} writers: the listed state was the counter in each")


if __name__ == "__main__":
    main()
