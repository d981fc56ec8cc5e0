# SPDX-License-Identifier: Apache-2.0
"""utapid on Redis with a user of its ACLs: what the documentation says it needs is enough, and nothing counts before it has that."""

import glob
import os
import re
import shlex
import tempfile
import uuid

from flowing import health, settle
from harness import ROOT, Server, interval_of, main, now_ms, put_object, range_around
from redis_server import wait_for
from test_redis import OnRedis

DAY_MS = 86_400_000
COUNTER = "s3:buckets:photos:storageUtilized:counter"
LIST, LAST = "s3:utapireplay", "s3:utapid:replay:last"


def documented_rules():
    """The rules behind the user's name in the document's own command."""
    with open(os.path.join(ROOT, "docs", "operating-redis.md"), encoding="utf-8") as file:
        line = re.search(r"^redis-cli (ACL SETUSER .*)$", file.read(), re.M).group(1)
    words = shlex.split(line)
    return [rule for rule in words[3:] if not rule.startswith(">")]


def bucket_event(operation, time_ms):
    return {"operationId": operation, "uuid": str(uuid.uuid4()), "timestamp": time_ms, "bucket": "photos"}


class Rights(OnRedis):
    def setUp(self):
        super().setUp()
        self.store = self.redis(tcp=True).start()

    def make_user(self, *rules):
        self.store.command("ACL", "SETUSER", "ut", "reset", "on", ">geheim", *rules)

    def grant(self, *rules):
        self.store.command("ACL", "SETUSER", "ut", *rules)

    @property
    def uri(self):
        return f"redis://ut:geheim@127.0.0.1:{self.store.port}"

    def utapid(self, **options):
        return self.server("--redis", self.uri, backend=None, **options)

    def check_lacking(self, server, wanted):
        seen = wait_for(lambda: health(server).get("trouble"), "trouble")
        self.assertRegex(seen, wanted)
        self.assertEqual((health(server)["status"], health(server)["journal"]["waiting"]), ("degraded", 2))

    def check_gains(self, rules, lacking, gained):
        """Nothing counts while a right is lacking; once it is there, all counts, and once."""
        self.store.command("FLUSHALL")
        self.make_user(*rules)
        folder = tempfile.mkdtemp(dir=self.folder)  # of a journal that knows nothing of the cases before
        with Server(folder, "--redis", self.uri, backend=None) as server:
            for _ in range(2):
                self.assertEqual(server.push([put_object("photos", 10, location="l")]), 200)
            self.check_lacking(server, lacking)
            self.assertEqual(self.store.command("KEYS", "*"), [])
            self.grant(*gained)
            settle(server)
            self.assertEqual(self.store.command("GET", COUNTER), "20")

    def test_without_channels_nothing_counts(self):
        self.check_gains(["~s3:*", "+@all"], "the user lacks a right: PUBLISH s3:event:.*NOPERM", ["&s3:*"])

    def test_without_a_command_of_a_scripts_middle_nothing_counts(self):
        for command in ("zadd", "persist", "exec", "discard", "multi"):
            lacking = f"the user lacks a right: {command.upper()}.*NOPERM.*{command}"
            self.check_gains(["~s3:*", "&s3:*", "+@all", f"-{command}"], lacking, [f"+{command}"])

    def test_where_keys_may_only_be_read_nothing_counts(self):
        rules = ["%R~s3:*", *(f"~s3:{family}:*" for family in ("buckets", "accounts", "users", "service", "locations", "utapid"))]
        self.check_gains([*rules, "&s3:*", "+@all"], "the user lacks a right: INCRBY s3:location:.*NOPERM", ["~s3:*"])

    def test_a_right_that_is_taken_away_is_missed(self):
        self.make_user("~s3:*", "&s3:*", "+@all")
        with self.utapid() as server:
            self.assertEqual(server.push([put_object("photos", 10)]), 200)
            settle(server)
            self.grant("-hset")
            for _ in range(2):
                self.assertEqual(server.push([put_object("other", 10)]), 200)
            wait_for(lambda: "lacks a right: HSET" in health(server).get("trouble", ""), "word of HSET")
            seen = self.store.command("GET", "s3:buckets:other:storageUtilized:counter")
            server.push([put_object("other", 10)])
            wait_for(lambda: health(server)["journal"]["waiting"] == 3, "three that wait")
            self.assertEqual(self.store.command("GET", "s3:buckets:other:storageUtilized:counter"), seen)
            self.grant("+hset")
            settle(server)

    def test_what_the_document_grants_is_enough(self):
        self.make_user(*documented_rules())
        month_ago = now_ms() - 30 * DAY_MS
        settings = {"UTAPI_REDIS_CACHE_URL": self.uri, "UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": "2"}
        with self.utapid(env=settings) as server:
            self.count_early_and_late(server, month_ago)
            for time_range in ([interval_of(month_ago - 300 * DAY_MS), range_around(now_ms())[1]], range_around(now_ms())):
                answer = server.list("buckets", ["photos"], time_range)[0]
                self.assertEqual((answer["storageUtilized"][1], answer["numberOfObjects"][1]), (20, 2))
            self.assertEqual(server.storage("buckets", "photos"), 20)
            self.assertEqual(server.push([bucket_event("deleteBucket", now_ms())]), 200)
            wait_for(lambda: self.store.command("GET", COUNTER) is None, "the bucket is forgotten")
            wait_for(lambda: not self.store.command("EXISTS", "s3:utapid:sweeping"), "its flows too")
            settle(server)
            self.assertNotIn("NOPERM", server.log())
        self.assertEqual(self.store.command("ACL", "LOG"), [])

    def count_early_and_late(self, server, month_ago):
        events = [put_object("photos", 10), bucket_event("createBucket", month_ago), put_object("photos", 10, month_ago, location="l")]
        for event in events:
            self.assertEqual(server.push([event]), 200)
            settle(server)

    def test_a_local_caches_user_is_asked_too(self):
        element = ('{"action":"putObject","reqUid":"r","params":{"bucket":"photos","newByteLength":10,"oldByteLength":null},'
                   f'"timestamp":{now_ms()}}}')  # fmt: skip
        self.make_user("~s3:*", "+@all", "-ltrim")
        self.store.command("LPUSH", LIST, element)
        with self.server(env={"UTAPI_REDIS_CACHE_URL": self.uri}) as server:
            wait_for(lambda: "the user lacks a right: LTRIM" in health(server).get("trouble", ""), "word of LTRIM")
            self.assertEqual(self.store.command("EXISTS", LAST), 0)
            self.grant("+ltrim")
            wait_for(lambda: self.store.command("EXISTS", LIST) == 0, "the list was taken over")
            self.assertEqual(self.store.command("GET", LAST), "1")

    def test_every_command_of_a_script_is_asked_for(self):
        folder = os.path.join(ROOT, "backends", "redis")
        with open(os.path.join(folder, "redis_context.c"), encoding="utf-8") as file:
            asked = set(re.findall(r'^    "([A-Z]+)', file.read(), re.M))
        used = set()
        for path in glob.glob(os.path.join(folder, "lua", "*.lua")):
            with open(path, encoding="utf-8") as file:
                used |= set(re.findall(r"(?:call|own|fit)\('([A-Z]+)'", file.read()))
        self.assertGreater(len(used), 30)
        self.assertEqual(used - asked, set())


if __name__ == "__main__":
    main()
