# SPDX-License-Identifier: Apache-2.0
"""Writes a folder of copies, and the answers that belong to them, with the programs of today: how format-2/ was made.

    UTAPID=.../utapid TEST_CLOCK_LIBRARY=.../libutapi_test_clock.so python3 write.py FOLDER

A later version reads them with test_takeover.py. What they hold is told in format-2/README.md.
"""

import contextlib
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid

import takeover
from harness import CANONICAL_ID, INTERVAL_MS, SAMPLES, UTAPICTL, Server, interval_of, server_environment
from redis_server import Client, Redis, wait_for
from takeover import clock_at, data_folder

WRITTEN_MS = 1796000450000
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
FIRST_MS = interval_of(WRITTEN_MS) - 15 * DAY_MS
SOON_MS, LATER_MS = 60_000, 2 * HOUR_MS
EXPIRE = {"UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": "3600"}
JOURNAL = {"UTAPI_JOURNAL": "true", **EXPIRE}
LONG = "b" * 255

NAMES = {
    "buckets": ["photos", "late", "wide", "letters", "expires-soon", "expiry-cancelled", "expires-waiting", "adjusted",
                "expired", "with:colon", "\u00dcberfluss", "log\nbucket", LONG, "nobody"],
    "accounts": ["123456789012"], "users": ["lisa", "user:1"], "service": ["s3"], "locations": ["us-east-1"],
}  # fmt: skip
RANGES = [[0, interval_of(WRITTEN_MS) + 2 * DAY_MS - 1], [FIRST_MS, FIRST_MS + DAY_MS - 1],
          [FIRST_MS + DAY_MS, FIRST_MS + 9 * DAY_MS - 1], [interval_of(WRITTEN_MS) - DAY_MS, interval_of(WRITTEN_MS) - 1]]  # fmt: skip
QUESTIONS = {"writtenMs": WRITTEN_MS, "names": NAMES, "ranges": RANGES}


class Writer:
    """Events whose uuids and times come from a seed, so that two runs differ in nothing that is asked for."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.repeated = []

    def event(self, bucket, time_ms, size=None, operation="putObject", **more):
        size = self.random.randrange(1, 1 << 12) if size is None else size
        event = {
            "operationId": operation, "uuid": str(uuid.UUID(int=self.random.getrandbits(128), version=4)), "timestamp": time_ms,
            "bucket": bucket, "account": CANONICAL_ID, "user": self.random.choice(NAMES["users"]), "location": "us-east-1",
            "objectDelta": 1, "sizeDelta": size, "incomingBytes": abs(size), **more,
        }  # fmt: skip
        if time_ms > WRITTEN_MS - HOUR_MS:
            self.repeated.append(event)
        return event

    def push(self, server, *events):
        status = server.push(list(events))
        assert status == 200, status

    def history(self, server):
        """Of all buckets over 15 days, in order; then late ones, some with many rows after them."""
        for day in range(15):
            at = FIRST_MS + day * DAY_MS
            self.push(server, *(self.event(bucket, at + i * INTERVAL_MS) for i, bucket in enumerate(NAMES["buckets"][:-1])))
            self.push(server, *(self.event("late", at + i * INTERVAL_MS) for i in range(20, 24)))
        for _ in range(10):
            self.push(server, *(self.event("late", FIRST_MS + self.random.randrange(14 * DAY_MS)) for _ in range(40)))
        for day in range(3):  # more resources than are rewritten in one step
            self.push(server, *(self.event(bucket, FIRST_MS + (day + 3) * DAY_MS) for bucket in NAMES["buckets"][:-1]))

    def wide(self, server):
        """Totals beyond 64 bits at all levels: what the service came to is more than any bucket."""
        for _ in range(3):
            self.push(server, *(self.event("wide", WRITTEN_MS - 2 * HOUR_MS, (1 << 63) - 1, incomingBytes=(1 << 63) - 1) for _ in range(2)))

    def letters(self, server):
        """Three dead letters: one is counted after all, one acknowledged."""
        for _ in range(3):
            self.push(server, self.event("letters", WRITTEN_MS - HOUR_MS // 2, 1 << 60))
        first, second = [letter["id"] for letter in takeover.get(server, "/_/dead-letters")["letters"]][:2]
        for action, letter in (("push", first), ("acknowledge", second)):
            status, body = server.request("POST", f"/_/dead-letters/{action}", json.dumps({"ids": [letter]}))
            assert status == 200, body
        self.repeated = [event for event in self.repeated if event["bucket"] != "letters"]

    def expiries(self, server):
        for bucket in ("expires-soon", "expiry-cancelled"):
            self.push(server, self.event(bucket, WRITTEN_MS - HOUR_MS // 4, operation="deleteBucket", objectDelta=0, sizeDelta=0, incomingBytes=0))
        self.push(server, self.event("expiry-cancelled", WRITTEN_MS - HOUR_MS // 8))

    def acts(self, server):
        self.act(server, "adjust", "adjusted", "--storage", "-1000", "--objects", "7", "--operation", "PutObject=-3")
        self.act(server, "adjust", "late", "--incoming", "5", "--at", str(FIRST_MS + 3 * DAY_MS))
        self.act(server, "expire", "expired")

    def act(self, server, what, bucket, *arguments, done=0):
        act = f"{self.random.getrandbits(128):032x}"
        ran = subprocess.run(
            [UTAPICTL, what, "buckets", bucket, *arguments, "--id", act, "--reason", f"{what} of a copy",
             *(() if "--at" in arguments else ("--at", str(WRITTEN_MS - HOUR_MS))), "--data", data_folder(server)],
            capture_output=True, text=True, timeout=60, check=False, env=server_environment(),
        )  # fmt: skip
        assert ran.returncode == done, (ran.returncode, ran.stderr)

    def sample(self, server):
        with open(os.path.join(SAMPLES, "cloudserver-v2-ingest.ndjson"), encoding="utf-8") as lines:
            for line in lines:
                self.push(server, *json.loads(line))


def settle(server):
    wait_for(lambda: takeover.journal_counts(server).get("waiting", 0) == 0, "an empty journal")


@contextlib.contextmanager
def running(folder, time_ms, *flags, env, backend="lmdb"):
    with clock_at(time_ms):
        server = Server(folder, "--no-auth", *flags, backend=backend, env=env)
    try:
        yield server
        server.stop()
    except BaseException:
        server.kill()
        raise


def killed(folder, *flags, env, with_server, backend="lmdb"):
    with clock_at(WRITTEN_MS):
        server = Server(folder, "--no-auth", *flags, backend=backend, env=env)
    try:
        with_server(server)
    finally:
        server.kill()


# ---- what is written -----------------------------------------------------------------------------------


def write_lmdb(folder):
    writer = Writer(1)
    with running(folder, WRITTEN_MS, env={**EXPIRE, "UTAPI_MAX_AMOUNT": "0"}) as server:
        writer.sample(server)
        writer.history(server)
        writer.wide(server)
        writer.expiries(server)
    with running(folder, WRITTEN_MS, env={**EXPIRE, "UTAPI_MAX_AMOUNT": str(1 << 53)}) as server:
        writer.letters(server)
        writer.acts(server)
    return writer


def write_journal(folder):
    """Events are accepted, and the server is killed before the journal hands them over."""
    writer = Writer(2)
    with running(folder, WRITTEN_MS, env={**JOURNAL, "UTAPI_MAX_AMOUNT": "0"}) as server:
        writer.history(server)
        writer.wide(server)
        writer.expiries(server)
        settle(server)
    with running(folder, WRITTEN_MS, env=JOURNAL) as server:
        writer.letters(server)
        writer.acts(server)
        settle(server)

    def accepted(server):
        writer.push(server, *(writer.event(name, WRITTEN_MS - 1000) for name in NAMES["buckets"][:-1] if not name.startswith("exp")))

    killed(folder, env=JOURNAL, with_server=accepted)
    return writer


def write_redis(folder, redis):
    """Events, an act and a letter that Redis was not there for."""
    writer = Writer(3)
    with clock_at(WRITTEN_MS):
        redis.start()
    with running(folder, WRITTEN_MS, "--redis", redis.uri, backend=None, env=EXPIRE) as server:
        writer.history(server)
        writer.expiries(server)
        writer.letters(server)
        writer.acts(server)
        settle(server)
        wait_for(lambda: not redis.command("EXISTS", "s3:utapid:shifting"), "late changes of states")
    commands = list(redis_commands(redis))
    redis.stop()

    def accepted(server):
        writer.push(server, *(writer.event(name, WRITTEN_MS - 1000) for name in NAMES["buckets"][:-1] if not name.startswith("exp")))
        writer.act(server, "adjust", "adjusted", "--storage", "50", done=3)
        writer.push(server, writer.event("expires-waiting", WRITTEN_MS, operation="deleteBucket", objectDelta=0, sizeDelta=0, incomingBytes=0))

    killed(folder, "--redis", redis.uri, backend=None, env=EXPIRE, with_server=accepted)
    return writer, commands


def redis_commands(redis):
    """The commands that make what a Redis holds: one list of words each, their bytes as Latin-1."""
    with contextlib.closing(Client(redis.address)) as client:
        client.encoding = "latin-1"
        for name in sorted(client.ask("KEYS", "*")):
            key = name.encode("latin-1")
            kind = client.ask("TYPE", key)
            if kind == "string":
                yield ["SET", name, client.ask("GET", key)]
            elif kind == "zset":
                pairs = client.ask("ZRANGE", key, 0, -1, "WITHSCORES")
                yield ["ZADD", name, *(word for pair in zip(pairs[1::2], pairs[::2], strict=True) for word in pair)]
            elif kind == "hash":
                yield ["HSET", name, *client.ask("HGETALL", key)]
            elif kind == "set":
                yield ["SADD", name, *client.ask("SMEMBERS", key)]
            else:
                yield ["RPUSH", name, *client.ask("LRANGE", key, 0, -1)]
            expires_ms = client.ask("PEXPIRETIME", key)
            if expires_ms > 0:
                yield ["PEXPIREAT", name, str(expires_ms)]


# ---- the answers ---------------------------------------------------------------------------------------


def answers(server, writer):
    settle(server)
    return {
        "usage": takeover.all_usage(server, QUESTIONS), "storage": takeover.all_storage(server, QUESTIONS),
        "journal": takeover.journal_counts(server), "deadLetters": takeover.get(server, "/_/dead-letters"),
        "audit": takeover.audit(server), "repeated": {"/v2/ingest": writer.repeated[-200:]},
    }  # fmt: skip


def later(folder, *flags, env, backend="lmdb"):
    def usage(server):
        return takeover.usage(server, "buckets", NAMES["buckets"], RANGES[0])

    with running(folder, WRITTEN_MS + LATER_MS, *flags, env=env, backend=backend) as server:
        settle(server)
        wait_for(lambda: usage(server)["expires-soon"][1][1] == 0, "what is due")
        return usage(server)


def pack(name, folder, target):
    with tarfile.open(os.path.join(target, f"{name}.tar.xz"), "w:xz") as archive:
        archive.add(os.path.join(folder, "lmdb"), "lmdb", filter=without_owner)


def without_owner(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = WRITTEN_MS // 1000
    return None if member.name.endswith((".sock", "lock.mdb", ".lock")) else member


def dump(path, value):
    with lzma.open(path, "wt", encoding="utf-8", preset=9) as file:
        json.dump(value, file, ensure_ascii=False)


def copy_of(folder, work):
    copy = os.path.join(work, "copy")
    shutil.copytree(os.path.join(folder, "lmdb"), os.path.join(copy, "lmdb"), ignore=shutil.ignore_patterns("*.sock"))
    return copy


def main(target):
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, "questions.json"), "w", encoding="utf-8") as file:
        json.dump(QUESTIONS, file, indent=1, ensure_ascii=False)
        file.write("\n")
    for name, write, env in (("lmdb", write_lmdb, EXPIRE), ("journal", write_journal, JOURNAL)):
        with tempfile.TemporaryDirectory() as work:
            writer = write(work)
            pack(name, work, target)
            copy = copy_of(work, work)
            with running(copy, WRITTEN_MS + SOON_MS, env=env) as server:
                expected = answers(server, writer)
            dump(os.path.join(target, f"{name}.json.xz"), {**expected, "later": later(copy, env=env)})
    with tempfile.TemporaryDirectory() as work:
        redis = Redis(work)
        try:
            write_answers_of_redis(target, work, redis)
        finally:
            redis.kill()


def write_answers_of_redis(target, work, redis):
    writer, commands = write_redis(work, redis)
    pack("redis", work, target)
    with lzma.open(os.path.join(target, "redis.commands.xz"), "wt", encoding="utf-8", preset=9) as file:
        for command in commands:
            file.write(json.dumps(command) + "\n")
    copy, flags = copy_of(work, work), ("--redis", redis.uri)
    with running(copy, WRITTEN_MS + SOON_MS, *flags, env=EXPIRE, backend=None) as server:
        waiting = takeover.journal_counts(server)["waiting"]
    with clock_at(WRITTEN_MS + SOON_MS):
        redis.start()
    with running(copy, WRITTEN_MS + SOON_MS, *flags, env=EXPIRE, backend=None) as server:
        expected = {"waiting": waiting, **answers(server, writer)}
        wait_for(lambda: not redis.command("EXISTS", "s3:utapid:shifting"), "late changes of states")
        wait_for(lambda: not redis.command("KEYS", "s3:buckets:1*:expired:*"), "keys of a bucket that expired")
        expected["keys"] = takeover.v1_keys(redis)
    redis.stop()
    with clock_at(WRITTEN_MS + LATER_MS):
        redis.start()
    expected["later"] = later(copy, *flags, env=EXPIRE, backend=None)
    dump(os.path.join(target, "redis.json.xz"), expected)


if __name__ == "__main__":
    main(sys.argv[1])
