# SPDX-License-Identifier: Apache-2.0
"""Too much of everything: connections, slow clients, events. What is refused is refused at once and can be repeated; memory
stays bounded, and questions are answered meanwhile."""

import http.client
import json
import os
import resource
import socket
import threading
import time

from harness import SystemTest, main, now_ms, put_object, raise_file_limit, range_around
from redis_server import wait_for

IDLE_CONNECTIONS = 10_000
# AddressSanitizer's share included; ThreadSanitizer's shadow is four times what it watches.
BYTES_AN_IDLE_CONNECTION = (256 if os.environ.get("UTAPI_SANITIZE") == "thread" else 48) * 1024
FLOOD_S = 3.0


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Load(SystemTest):
    def limited_server(self, **limits):
        config = os.path.join(self.folder, "limits.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"limits": limits}, file)
        return self.running_server("--config", config)

    def test_ten_thousand_idle_connections_cost_little(self):
        raise_file_limit(IDLE_CONNECTIONS + 500)
        count = min(IDLE_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
        utapid = self.limited_server(maxConnections=count + 100)
        self.assertEqual(utapid.push([put_object("few", 1)]), 200)
        before = resident_bytes(utapid.process.pid)
        idle = [socket.create_connection(("127.0.0.1", utapid.port)) for _ in range(count)]
        try:
            for connection in idle[::100]:  # some have asked before they fell silent
                connection.sendall(b"GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 200"))
            self.assertEqual(utapid.push([put_object("few", 1)]), 200)
            self.assertEqual(utapid.storage("buckets", "few"), 2)
            grown = resident_bytes(utapid.process.pid) - before
            print(f"{count} idle connections: {grown / count / 1024:.1f} KiB each")
            self.assertLess(grown, count * BYTES_AN_IDLE_CONNECTION)
        finally:
            for connection in idle:
                connection.close()

    def ask_until_answered(self, utapid, connection, method, target, body=b""):
        """The answer to a request that is repeated, as it should be after 503 and where an idle connection was closed."""

        def answer():
            try:
                status, content = utapid.request(method, target, body, connection=connection)
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens another
                return None
            self.assertIn(status, (200, 503))
            return (content,) if status == 200 else None

        return wait_for(answer, f"an answer to {method} {target}")[0]

    def test_connections_beyond_the_limit_give_way_to_a_client_that_repeats(self):
        utapid = self.limited_server(maxConnections=20)
        # Twenty too many, and a worker takes 32 of those: none is left in the backlog, with the client behind it.
        crowd = [socket.create_connection(("127.0.0.1", utapid.port)) for _ in range(40)]
        client = utapid.connect()
        for _ in range(10):
            events = json.dumps([put_object("kept", 1)])
            self.ask_until_answered(utapid, client, "POST", "/v2/ingest", events)
        stored = self.ask_until_answered(utapid, client, "GET", "/v2/storage/buckets/kept")
        self.assertEqual(json.loads(stored)["storageUtilized"], 10)
        for connection in [*crowd, client]:
            connection.close()

    def dribble(self, port, parts, pause_s=0.2):
        """Sends bytes one by one until the server hangs up; whether it did within a minute."""
        deadline = time.monotonic() + 60
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(pause_s)
            for byte in parts:
                try:
                    connection.sendall(bytes([byte]))
                    if connection.recv(4096) == b"":
                        return True
                except TimeoutError:
                    pass
                except OSError:
                    return True
                if time.monotonic() > deadline:
                    break
        return False

    def test_slow_clients_are_cut_off_and_nobody_waits_for_them(self):
        utapid = self.limited_server(requestTimeout=2, idleTimeout=2)
        head = b"POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        slow = {
            "header": b"GET /_/healthcheck HTTP/1.1\r\nX-Slow: " + b"x" * 1000,
            "body": head + b" " * 1000,
            "silence": b"",
        }
        cut = {}

        def suffer(name):
            if slow[name]:
                cut[name] = self.dribble(utapid.port, slow[name])
                return
            with socket.create_connection(("127.0.0.1", utapid.port), timeout=60) as connection:
                cut[name] = connection.recv(1) == b""

        threads = [threading.Thread(target=suffer, args=(name,)) for name in slow]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.assertEqual(utapid.push([put_object("quick", 1)]), 200)
            time.sleep(0.05)
        self.assertEqual(cut, {"header": True, "body": True, "silence": True})

    def test_a_flood_is_pushed_back_and_counts_exactly(self):
        utapid = self.limited_server(maxEvents=200, queueEvents=200)
        when = now_ms()
        acknowledged, refused, answers = [0] * 16, [0] * 16, [0]
        deadline = time.monotonic() + FLOOD_S
        retries_named = []

        def flood(number):
            connection = utapid.connect()
            while time.monotonic() < deadline:
                events = [put_object(f"flood-{number % 4}", 1, when) for _ in range(150)]
                connection.request("POST", "/v2/ingest", json.dumps(events), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    acknowledged[number] += len(events)
                elif answer.status == 503:
                    refused[number] += 1
                    retries_named.append(answer.getheader("Retry-After") is not None)
                else:
                    raise AssertionError(f"status {answer.status}")
            connection.close()

        def ask():
            connection = utapid.connect()
            while time.monotonic() < deadline:
                utapid.list("buckets", ["flood-0", "flood-1"], range_around(when), connection)
                answers[0] += 1
            connection.close()

        threads = [threading.Thread(target=flood, args=(number,)) for number in range(16)]
        threads.append(threading.Thread(target=ask))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stored = sum(utapid.storage("buckets", f"flood-{number}") for number in range(4))
        print(f"{stored} events taken, {sum(refused)} requests pushed back, {answers[0]} questions answered meanwhile")
        self.assertEqual(stored, sum(acknowledged))
        self.assertGreater(sum(refused), 0, "nothing was pushed back: the test proves nothing")
        self.assertTrue(all(retries_named))
        self.assertGreater(answers[0], 5)


if __name__ == "__main__":
    main()
