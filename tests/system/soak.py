#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long steady load: memory, open files and latency must stay where they settled, and every event must be counted.

usage: soak.py [--minutes N] [--backend NAME]. The first quarter of the time is for settling; the others are compared.
Events come as fast as they are answered, and on a journal as fast as the storage behind it takes them. Some clients
come and go, and some requests are sent twice, as by one who did not see the answer.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import tempfile
import time

from harness import Server, now_ms, put_object, raise_file_limit, range_around
from redis_server import REDIS_SERVER, Redis
from test_fleet import Client

PUSHING, LISTING, BUCKETS, EVENTS = 12, 4, 200, 20
STORAGES = ("memory", "lmdb", "journal+lmdb", "redis")
# Of a client's requests: after which it connects anew, and which are sent once more.
RECONNECTED, REPEATED = 0.01, 0.05
# Events that may wait in a journal: those who push pause while there are more, for what waits is kept in memory.
WAITING_MOST, WAITING_LOOK_S = 10_000, 0.1
SAMPLE_S = 5.0
MIB = 1024 * 1024


class Gauge:
    """What is looked at: resident memory, open files, the slowest percent of requests since the last look."""

    def __init__(self, pid):
        self.pid = pid
        self.latencies = []
        self.samples = []

    def look(self, since):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        # What LMDB maps is the page cache's, and grows with the data: only the process's own memory counts.
        memory = int(fields["RssAnon"].split()[0]) * 1024
        files = len(os.listdir(f"/proc/{self.pid}/fd"))
        ranked = sorted(self.latencies) or [0.0]
        p99_ms = ranked[int(len(ranked) * 0.99)] * 1000
        self.samples.append((memory, files, p99_ms))
        print(f"{time.monotonic() - since:6.0f} s  {memory / MIB:7.1f} MiB  {files:4d} files  "
              f"{len(ranked) / SAMPLE_S:7.0f} requests/s  p99 {p99_ms:7.2f} ms", flush=True)  # fmt: skip
        self.latencies.clear()

    def quarter(self, number, column):
        size = len(self.samples) // 4
        return statistics.median(sample[column] for sample in self.samples[number * size : (number + 1) * size])


async def timed(gauge, request):
    begun = time.monotonic()
    await request
    gauge.latencies.append(time.monotonic() - begun)


async def reconnect_now_and_then(client, choice):
    if choice.random() < RECONNECTED:
        await client.close()
        await client.open()


async def open_gate_until(gate, client, deadline):
    """Lets events in as fast as the storage behind a journal takes them."""
    while time.monotonic() < deadline:
        health = json.loads(await client.ask("GET", "/_/healthcheck"))
        if health.get("journal", {}).get("waiting", 0) > WAITING_MOST:
            gate.clear()
        else:
            gate.set()
        await asyncio.sleep(WAITING_LOOK_S)
    gate.set()


async def push_until(client, gauge, deadline, gate, counts, seed):
    choice = random.Random(seed)
    while time.monotonic() < deadline:
        await gate.wait()
        buckets = [choice.randrange(BUCKETS) for _ in range(EVENTS)]
        late_ms = choice.choice([0, 0, 0, 0, 900_000, 7_200_000])
        events = [put_object(f"soak-{bucket}", 1, now_ms() - late_ms) for bucket in buckets]
        body = json.dumps(events).encode()
        for _ in range(2 if choice.random() < REPEATED else 1):
            await timed(gauge, client.ask("POST", "/v2/ingest", body))
        for bucket in buckets:
            counts[bucket] += 1
        await reconnect_now_and_then(client, choice)


async def list_until(client, gauge, deadline, seed):
    choice = random.Random(seed)
    body = json.dumps({"buckets": [f"soak-{n}" for n in range(20)], "timeRange": range_around(now_ms() - 86_400_000, now_ms())})
    while time.monotonic() < deadline:
        await timed(gauge, client.ask("POST", "/buckets?Action=ListMetrics", body.encode()))
        await reconnect_now_and_then(client, choice)


async def look_until(gauge, deadline):
    begun = time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(SAMPLE_S)
        gauge.look(begun)


async def load(server, gauge, seconds, counts):
    deadline = time.monotonic() + seconds
    clients = [await Client(server.port).open() for _ in range(PUSHING + LISTING + 1)]
    pushing, listing, looking = clients[:PUSHING], clients[PUSHING:-1], clients[-1]
    gate = asyncio.Event()
    await asyncio.gather(
        look_until(gauge, deadline),
        open_gate_until(gate, looking, deadline),
        *(push_until(client, gauge, deadline, gate, counts, seed) for seed, client in enumerate(pushing)),
        *(list_until(client, gauge, deadline, PUSHING + seed) for seed, client in enumerate(listing)),
    )
    for client in clients:
        await client.close()


def verdict(gauge):
    """Sentences about what did not stay flat."""
    if len(gauge.samples) < 8:
        return ["too short to judge: at least 40 seconds are needed"]
    limits = (("memory", 0, 1.10, 4 * MIB, "bytes"), ("open files", 1, 1.0, 4, "files"), ("p99", 2, 2.0, 20.0, "ms"))
    return [
        f"{name} went from {gauge.quarter(1, column):.1f} to {gauge.quarter(3, column):.1f} {unit}"
        for name, column, factor, slack, unit in limits
        if gauge.quarter(3, column) > gauge.quarter(1, column) * factor + slack
    ]


@contextlib.contextmanager
def server_on(storage, folder):
    """A utapid on one of STORAGES; a Redis is started for it, in the folder, and ended afterwards."""
    with contextlib.ExitStack() as stack:
        env = {}
        if storage.startswith("journal+"):
            env["UTAPI_JOURNAL_ENABLED"] = "true"
        if storage == "redis":
            redis = Redis(folder).start()
            stack.callback(redis.kill)
            env["UTAPI_REDIS_URL"] = redis.uri
        yield stack.enter_context(Server(folder, "--no-auth", backend=storage.removeprefix("journal+"), env=env))


def soak(storage, seconds):
    """(how many events were acknowledged, sentences about what is wrong)."""
    counts = [0] * BUCKETS
    with tempfile.TemporaryDirectory(prefix="utapi-soak-") as folder, server_on(storage, folder) as server:
        gauge = Gauge(server.process.pid)
        asyncio.run(load(server, gauge, seconds, counts))
        wrong = verdict(gauge)
        stored = [server.storage("buckets", f"soak-{bucket}") for bucket in range(BUCKETS)]
        if stored != counts:
            wrong.append(f"{sum(counts)} events were acknowledged and {sum(stored)} are counted")
    return sum(counts), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--backend", default="lmdb", choices=STORAGES, help="where it stores (lmdb); redis: in one of its own")
    options = parser.parse_args()
    if options.backend == "redis" and REDIS_SERVER is None:
        parser.error("redis-server is needed (Debian: apt-get install redis-server)")
    raise_file_limit(4096)
    count, wrong = soak(options.backend, options.minutes * 60)
    print(f"{count} events; " + ("; ".join(wrong) if wrong else "memory, files and latency are flat, every event is counted"))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
