# SPDX-License-Identifier: Apache-2.0
"""A fleet: 1,000 connections that are idle and 64 that are busy, and no request waits for long."""

import asyncio
import json
import os
import time

from harness import (
    ACCESS_KEY, SECRET_KEY, SystemTest, main, now_ms, put_object, raise_file_limit, range_around, signed_headers,
)  # fmt: skip

IDLE, PUSHING, LISTING = 1000, 48, 16
BUSY_S = float(os.environ.get("UTAPI_FLEET_SECONDS", "6"))
# Seen are some tens of milliseconds; a stall is a connection that nobody wakes until a poll's time-out.
STALL_S = 5.0


class Client:
    """A keep-alive connection that remembers its slowest request."""

    def __init__(self, port):
        self.port = port
        self.slowest_s = 0.0
        self.requests = 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, method, target, body=b"", headers=None):
        begun = time.monotonic()
        lines = [f"{method} {target} HTTP/1.1", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {"host": f"127.0.0.1:{self.port}"}).items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 60)).decode("latin-1")
        length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
        answer = await asyncio.wait_for(self.reader.readexactly(length), 60)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
        self.requests += 1
        status = int(head.split(" ")[1])
        if status != 200:
            raise AssertionError(f"{method} {target}: {status} {answer!r}")
        return answer

    async def close(self):
        self.writer.close()
        await self.writer.wait_closed()


async def push_until(client, deadline, bucket):
    while time.monotonic() < deadline:
        await client.ask("POST", "/v2/ingest", json.dumps([put_object(bucket, 1)]).encode())


async def list_until(client, deadline, since_ms):
    target = "/buckets?Action=ListMetrics"
    while time.monotonic() < deadline:
        body = json.dumps({"buckets": ["fleet-0", "fleet-1"], "timeRange": range_around(since_ms, now_ms())}).encode()
        headers = signed_headers("POST", f"127.0.0.1:{client.port}", target, body, ACCESS_KEY, SECRET_KEY)
        await client.ask("POST", target, body, headers)


async def run_fleet(port):
    """(idle clients, pushing clients, listing clients), each of which was served."""
    since_ms = now_ms()
    clients = []
    for _ in range(IDLE + PUSHING + LISTING):
        clients.append(await Client(port).open())
    idle, pushing, listing = clients[:IDLE], clients[IDLE : IDLE + PUSHING], clients[IDLE + PUSHING :]
    for client in idle:
        await client.ask("GET", "/_/healthcheck")

    deadline = time.monotonic() + BUSY_S
    await asyncio.gather(
        *(push_until(client, deadline, f"fleet-{number % 4}") for number, client in enumerate(pushing)),
        *(list_until(client, deadline, since_ms) for client in listing),
    )
    for client in idle:
        await client.ask("GET", "/_/healthcheck")
    for client in clients:
        await client.close()
    return idle, pushing, listing


class Fleet(SystemTest):
    def test_a_fleet_is_served_without_a_stall(self):
        raise_file_limit(4096)
        with self.server() as utapid:
            idle, pushing, listing = asyncio.run(run_fleet(utapid.port))
            pushed = sum(client.requests for client in pushing)
            self.assertEqual(sum(utapid.storage("buckets", f"fleet-{number}") for number in range(4)), pushed)
        slowest = max(client.slowest_s for client in (*idle, *pushing, *listing))
        print(f"{IDLE} idle; {PUSHING} pushing: {pushed} requests; {LISTING} listing: "
              f"{sum(client.requests for client in listing)} requests; slowest {slowest:.3f} s")  # fmt: skip
        self.assertLess(slowest, STALL_S)
        self.assertTrue(all(client.requests for client in (*pushing, *listing)))

    def test_a_full_server_accepts_again_when_connections_have_gone(self):
        config = os.path.join(self.folder, "full.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"limits": {"maxConnections": 1}, "workers": 1}, file)
        utapid = self.running_server("--config", config)
        for _ in range(4):  # each takes the one place that there is, and gives it back
            status, _ = utapid.request("GET", "/_/healthcheck")
            self.assertEqual(status, 200)


if __name__ == "__main__":
    main()
