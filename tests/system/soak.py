#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long steady load: memory, open files and latency must stay where they settled, and every event must be counted.

usage: soak.py [--minutes N] [--backend NAME]. The first quarter of the time is for settling; the others are compared.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time

from harness import Server, now_ms, put_object, raise_file_limit, range_around
from test_fleet import Client

PUSHING, LISTING, BUCKETS, EVENTS = 12, 4, 200, 20
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


async def push_until(client, gauge, deadline, counts, seed):
    choice = random.Random(seed)
    while time.monotonic() < deadline:
        buckets = [choice.randrange(BUCKETS) for _ in range(EVENTS)]
        late_ms = choice.choice([0, 0, 0, 0, 900_000, 7_200_000])
        events = [put_object(f"soak-{bucket}", 1, now_ms() - late_ms) for bucket in buckets]
        await timed(gauge, client.ask("POST", "/v2/ingest", json.dumps(events).encode()))
        for bucket in buckets:
            counts[bucket] += 1


async def list_until(client, gauge, deadline):
    body = json.dumps({"buckets": [f"soak-{n}" for n in range(20)], "timeRange": range_around(now_ms() - 86_400_000, now_ms())})
    while time.monotonic() < deadline:
        await timed(gauge, client.ask("POST", "/buckets?Action=ListMetrics", body.encode()))


async def look_until(gauge, deadline):
    begun = time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(SAMPLE_S)
        gauge.look(begun)


async def load(server, gauge, seconds, counts):
    deadline = time.monotonic() + seconds
    clients = [await Client(server.port).open() for _ in range(PUSHING + LISTING)]
    await asyncio.gather(
        look_until(gauge, deadline),
        *(push_until(client, gauge, deadline, counts, seed) for seed, client in enumerate(clients[:PUSHING])),
        *(list_until(client, gauge, deadline) for client in clients[PUSHING:]),
    )
    for client in clients:
        await client.close()


def verdict(gauge):
    """Sentences about what did not stay flat."""
    if len(gauge.samples) < 8:
        return ["too short to judge: at least 40 seconds are needed"]
    limits = (("memory", 0, 1.15, 8 * MIB), ("open files", 1, 1.0, 4), ("p99", 2, 2.0, 20.0))
    return [
        f"{name} went from {gauge.quarter(1, column):.1f} to {gauge.quarter(3, column):.1f}"
        for name, column, factor, slack in limits
        if gauge.quarter(3, column) > gauge.quarter(1, column) * factor + slack
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--backend", default="lmdb")
    options = parser.parse_args()
    raise_file_limit(4096)
    counts = [0] * BUCKETS
    with tempfile.TemporaryDirectory(prefix="utapi-soak-") as folder:
        with Server(folder, "--no-auth", backend=options.backend) as server:
            gauge = Gauge(server.process.pid)
            asyncio.run(load(server, gauge, options.minutes * 60, counts))
            wrong = verdict(gauge)
            stored = [server.storage("buckets", f"soak-{bucket}") for bucket in range(BUCKETS)]
            if stored != counts:
                wrong.append(f"{sum(counts)} events were acknowledged and {sum(stored)} are counted")
    print(f"{sum(counts)} events; " + ("; ".join(wrong) if wrong else "memory, files and latency are flat, every event is counted"))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
