# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of pushing, again and again, and then the count: nothing acknowledged is lost, no
request is half there, nothing is counted twice.

    python3 kill9.py --rounds N [--pushers N] [--seed N] [--journal]

Each pusher sends one request after the other for a bucket of its own, so at a kill at most one request of each
is in doubt. After the restart a bucket must hold either all that was acknowledged, or that and the whole
request in doubt. Then the requests in doubt are repeated with the same uuids, and some acknowledged ones too:
now every bucket, and the service, must hold exactly what was sent. With --journal events are in a journal when they
are acknowledged, and a kill may come while they are handed over.
"""

import argparse
import http.client
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from harness import INTERVAL_MS, Server, interval_of, now_ms, put_object

# Before a kill. A journal gathers for half a second before it hands anything over.
PAUSE_MOST_S = {False: 0.4, True: 1.5}
REMEMBERED = 20  # acknowledged requests of each pusher that may be repeated


class Pusher:
    """Sends requests of a few events, of now and of the past day, and keeps count."""

    def __init__(self, number, seed):
        self.bucket = f"bucket-{number}"
        self.random = random.Random(seed * 1000 + number)
        self.acknowledged = self.sent = 0  # events
        self.in_doubt = None  # the request that was not answered
        self.recent = []  # some that were

    def new_request(self):
        count = self.random.choice((1, 1, 1, 2, 5, 40))
        late = self.random.random() < 0.2
        when = now_ms() - (self.random.randrange(96) * INTERVAL_MS if late else 0)
        return [put_object(self.bucket, 10, when) for _ in range(count)]

    def send(self, server, connection, request):
        """Whether it was acknowledged."""
        try:
            return server.push(request, connection) == 200
        except (OSError, http.client.HTTPException):
            return False

    def push_until_killed(self, server):
        connection = server.connect()
        while True:
            self.in_doubt = self.new_request()
            self.sent += len(self.in_doubt)
            if not self.send(server, connection, self.in_doubt):
                break
            self.acknowledge()
        connection.close()

    def acknowledge(self):
        self.acknowledged += len(self.in_doubt)
        self.recent = [*self.recent[-REMEMBERED:], self.in_doubt]
        self.in_doubt = None


def counts_of(server, names, since_ms):
    """What is stored, by bucket: objects, bytes / 10, bytes in / 10 and PutObject must all agree."""
    time_range = [interval_of(since_ms) - 100 * INTERVAL_MS, interval_of(now_ms()) + INTERVAL_MS - 1]
    counts = {}
    answers = server.list("buckets", names, time_range) + server.list("service", ["s3"], time_range)
    for name, answer in zip([*names, "s3"], answers):
        seen = {
            answer["numberOfObjects"][1], answer["storageUtilized"][1] // 10, answer["incomingBytes"] // 10,
            answer["operations"]["s3:PutObject"],
        }  # fmt: skip
        assert len(seen) == 1, f"{name}: figures disagree: {answer}"
        counts[name] = seen.pop()
    assert counts["s3"] == sum(counts[name] for name in names), f"service and buckets disagree: {counts}"
    return counts


def check_after_kill(server, pushers, since_ms):
    """Acknowledged <= stored <= sent, and a request is there wholly or not at all; how many were stored unseen."""
    counts = counts_of(server, [pusher.bucket for pusher in pushers], since_ms)
    unseen = 0
    for pusher in pushers:
        allowed = {pusher.acknowledged, pusher.sent}
        assert counts[pusher.bucket] in allowed, f"{pusher.bucket}: {counts[pusher.bucket]} stored, not one of {allowed}"
        unseen += counts[pusher.bucket] != pusher.acknowledged
    return unseen


def repeat_and_check(server, pushers, since_ms):
    """The same uuids again, in doubt or not: each event is counted once."""
    connection = server.connect()
    for pusher in pushers:
        if pusher.in_doubt is not None:
            assert pusher.send(server, connection, pusher.in_doubt), "a repeated request was not taken"
            pusher.acknowledge()
        for request in pusher.random.sample(pusher.recent, min(3, len(pusher.recent))):
            assert pusher.send(server, connection, request), "a repeated request was not taken"
    connection.close()
    counts = counts_of(server, [pusher.bucket for pusher in pushers], since_ms)
    for pusher in pushers:
        assert pusher.acknowledged == pusher.sent
        assert counts[pusher.bucket] == pusher.sent, f"{pusher.bucket}: {counts[pusher.bucket]} of {pusher.sent}"


def push_and_kill(server, pushers, pause_s):
    threads = [threading.Thread(target=pusher.push_until_killed, args=(server,)) for pusher in pushers]
    for thread in threads:
        thread.start()
    time.sleep(pause_s)
    server.kill()
    for thread in threads:
        thread.join()


def run(folder, rounds, pusher_count, seed, env):
    since_ms = now_ms()
    chance = random.Random(seed)
    pushers = [Pusher(number, seed) for number in range(pusher_count)]
    unseen = 0
    for _ in range(rounds):
        server = Server(folder, env=env)
        try:
            push_and_kill(server, pushers, chance.uniform(0.01, PAUSE_MOST_S[bool(env)]))
        finally:
            server.kill()
        with Server(folder, env=env) as server:
            unseen += check_after_kill(server, pushers, since_ms)
            repeat_and_check(server, pushers, since_ms)
    assert os.path.isdir(os.path.join(folder, "lmdb", "journal")) == bool(env), "not the storage that was asked for"
    sent = sum(pusher.sent for pusher in pushers)
    print(f"{rounds} rounds: {sent} events sent, all there once; {unseen} requests were stored and not answered")
    return sent


def main():
    arguments = argparse.ArgumentParser(description="kill -9 in the middle of pushing, and the count")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--pushers", type=int, default=8)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--journal", action="store_true", help="with a journal before the storage")
    chosen = arguments.parse_args()
    print(f"seed {chosen.seed}")
    folder = tempfile.mkdtemp(prefix="utapi-kill9-")
    try:
        env = {"UTAPI_JOURNAL": "true"} if chosen.journal else None
        sent = run(folder, chosen.rounds, chosen.pushers, chosen.seed, env)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if sent else "no event was sent")


if __name__ == "__main__":
    main()
