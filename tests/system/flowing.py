# SPDX-License-Identifier: Apache-2.0
"""Events that keep coming while things break, and the count afterwards.

Every pusher sends one request after the other to a bucket of its own, and repeats each, with the same uuids, until it is
acknowledged: so in the end all that was sent must be there, and once.
"""

import contextlib
import http.client
import json
import random
import threading
import time

from harness import ACCOUNT_ID, range_around, now_ms, put_object

SIZE = 10  # bytes of each object


class Pusher(threading.Thread):
    def __init__(self, bucket, server_of, seed):
        super().__init__(daemon=True)
        self.bucket = bucket
        self.server_of = server_of  # gives the server of the moment
        self.random = random.Random(seed)
        self.is_over = threading.Event()
        self.events = 0  # acknowledged
        self.refusals = 0  # answers other than 200, and none at all
        self.failure = None

    def run(self):
        try:
            while not self.is_over.is_set():
                request = [put_object(self.bucket, SIZE) for _ in range(self.random.choice((1, 1, 2, 5, 20)))]
                self.send(request)
                time.sleep(0.002)
        except Exception as failure:  # for the thread that waits for us
            self.failure = failure

    def send(self, request, timeout_s=120):
        deadline = time.monotonic() + timeout_s
        while self.answer(request) != 200:
            self.refusals += 1
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.bucket}: no 200 in {timeout_s} s")
            time.sleep(0.05)
        self.events += len(request)

    def answer(self, request):
        try:
            return self.server_of().push(request)
        except (OSError, http.client.HTTPException):
            return 0


class Flow:
    """Several pushers, and what they sent."""

    def __init__(self, server_of, buckets=4, seed=1):
        self.since_ms = now_ms()
        self.pushers = [Pusher(f"flow-{i}", server_of, seed * 100 + i) for i in range(buckets)]
        for pusher in self.pushers:
            pusher.start()

    def events(self):
        return sum(pusher.events for pusher in self.pushers)

    def refusals(self):
        return sum(pusher.refusals for pusher in self.pushers)

    def wait_for_more(self, events=100, timeout_s=60):
        """Until so many more were acknowledged."""
        wanted = self.events() + events
        deadline = time.monotonic() + timeout_s
        while self.events() < wanted:
            self.raise_failure()
            if time.monotonic() > deadline:
                raise AssertionError(f"only {self.events()} of {wanted} events were acknowledged")
            time.sleep(0.01)

    def raise_failure(self):
        for pusher in self.pushers:
            if pusher.failure is not None:
                raise pusher.failure

    def stop(self):
        for pusher in self.pushers:
            pusher.is_over.set()
        for pusher in self.pushers:
            pusher.join()
        self.raise_failure()

    def counts(self):
        return {pusher.bucket: pusher.events for pusher in self.pushers}


@contextlib.contextmanager
def flowing(server_of, **options):
    """A flow that is stopped at the end of the block, by when all of it must be acknowledged."""
    flow = Flow(server_of, **options)
    try:
        yield flow
    except BaseException:
        for pusher in flow.pushers:
            pusher.is_over.set()
        raise
    flow.stop()


# ---- what the server says --------------------------------------------------------------------------------


def health(server):
    status, body = server.request("GET", "/_/healthcheck")
    if status != 200:
        raise AssertionError(f"healthcheck: {status} {body!r}")
    return json.loads(body)


def settle(server, timeout_s=90):
    """Waits until the server is well and nothing waits; its last healthcheck."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = health(server)
        if seen["status"] == "ok" and seen["journal"]["waiting"] == 0:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"did not settle in {timeout_s} s: {seen}\n{server.log()[-3000:]}")
        time.sleep(0.05)


def check_answer(answer, events, what):
    """All four figures of a resource that took so many events of put_object."""
    seen = (
        answer["numberOfObjects"][1], answer["storageUtilized"][1], answer["incomingBytes"],
        answer["operations"]["s3:PutObject"],
    )  # fmt: skip
    wanted = (events, events * SIZE, events * SIZE, events)
    if seen != wanted:
        raise AssertionError(f"{what}: objects, bytes, bytes in and PutObject are {seen}, not {wanted}")


def check_counts(server, counts, since_ms, elsewhere=0):
    """ListMetrics at the levels that put_object() counts at gives exactly these events, by bucket; and so many more that
    did not fit their buckets."""
    time_range = range_around(since_ms, now_ms())
    names = list(counts)
    for name, answer in zip(names, server.list("buckets", names, time_range)):
        check_answer(answer, counts[name], name)
    total = sum(counts.values()) + elsewhere
    check_answer(server.list("accounts", [ACCOUNT_ID], time_range)[0], total, "the account")
    check_answer(server.list("service", ["s3"], time_range)[0], total, "the service")


def wrong_keys(redis, counts, elsewhere=0):
    """Which keys of V1's key space do not say the same: the counters, and the newest states."""
    resources = [("buckets", name, events) for name, events in counts.items()]
    for level, name, events in [*resources, ("service", "s3", sum(counts.values()) + elsewhere)]:
        for metric, wanted in (("numberOfObjects", events), ("storageUtilized", events * SIZE)):
            seen = redis.counter(level, name, metric), redis.newest_state(level, name, metric)
            if seen != (wanted, wanted):
                yield f"{level} {name} {metric}: counter and newest state are {seen}, not {wanted}"


def check_keys(redis, counts, timeout_s=20, elsewhere=0):
    """The keys that a Node server reads say these counts too. A late event's change of states may come a moment later."""
    deadline = time.monotonic() + timeout_s
    while wrong := list(wrong_keys(redis, counts, elsewhere)):
        if time.monotonic() > deadline:
            raise AssertionError("\n".join(wrong))
        time.sleep(0.1)
