# SPDX-License-Identifier: Apache-2.0
"""Amounts at every edge of 64 bits, by hundreds and at every level, stop nobody: honest events count before and after them."""

import json

from flowing import health
from harness import INTERVAL_MS, interval_of, main, now_ms, put_object
from redis_server import wait_for
from test_redis import OnRedis

MOST = 2**63 - 1
EDGES = (MOST, -MOST - 1, MOST - 1, -MOST, 2**62, -(2**62), 2**53, 1, -1)
LEVELS = {"buckets": "bucket", "accounts": "account", "users": "user", "locations": "location"}


def at_edge(name, number):
    """Every level by the same name; a hundred intervals, so that many are late."""
    event = put_object(name, EDGES[number % len(EDGES)], interval_of(now_ms()) - number * 37 % 100 * INTERVAL_MS)
    return {**event, **{field: name for field in LEVELS.values()}, "incomingBytes": min(abs(EDGES[number % len(EDGES)]), MOST)}


class Edges(OnRedis):
    def check(self, server):
        honest = {field: "honest" for field in LEVELS.values()}
        whole = [interval_of(now_ms()) - 200 * INTERVAL_MS, interval_of(now_ms()) + INTERVAL_MS - 1]
        for round_number in range(3):
            self.assertEqual(server.push([{**put_object("honest", 10), **honest}]), 200)
            for number in range(200):
                self.assertEqual(server.push([at_edge("edge", 200 * round_number + number)]), 200)
            self.assertEqual(server.push([at_edge("many", number) for number in range(500)]), 200)
        self.assertEqual(server.push([{**put_object("honest", 10), **honest}]), 200)
        wait_for(lambda: health(server).get("journal", {}).get("waiting", 0) == 0, "the deliveries", timeout_s=120)
        for level in LEVELS:
            figures = server.list(level, ["honest"], whole)[0]
            self.assertEqual(figures["storageUtilized"][1], 40, level)
            self.assertEqual(figures["operations"]["s3:PutObject"], 4, level)
        return server.list("buckets", ["edge"], whole)[0]

    def check_lmdb(self, server):
        expected = sum(at_edge("edge", number)["sizeDelta"] for number in range(600))
        edge = self.check(server)
        self.assertEqual(edge["operations"]["s3:PutObject"], 600)
        self.assertEqual(edge["incomingBytes"], MOST)  # cut: it is more
        self.assertEqual(edge["storageUtilized"][1], max(0, min(expected, MOST)))

    def test_on_lmdb_all_of_it_counts(self):
        with self.server(env={"UTAPI_MAX_AMOUNT": "0"}) as server:
            self.check_lmdb(server)

    def test_through_a_journal_all_of_it_counts(self):
        with self.server(env={"UTAPI_JOURNAL": "true", "UTAPI_MAX_AMOUNT": "0"}) as server:
            self.check_lmdb(server)

    def test_by_default_what_is_beyond_2_to_the_53_is_kept(self):
        with self.server() as server:
            expected = [at_edge("edge", number)["sizeDelta"] for number in range(600)]
            edge = self.check(server)
            self.assertEqual(edge["operations"]["s3:PutObject"], sum(abs(amount) < 2**53 for amount in expected))

    def test_on_redis_what_does_not_fit_is_a_dead_letter_at_its_level_alone(self):
        redis = self.redis().start()
        with self.server_on(redis, env={"UTAPI_MAX_AMOUNT": "0"}) as server:
            self.check(server)
            self.assertEqual(health(server)["status"], "degraded")
            status, answer = server.request("GET", "/_/dead-letters")
            self.assertEqual(status, 200)
            letters = json.loads(answer)["letters"]
            self.assertEqual({letter["reason"] for letter in letters}, {"overflow"})
            self.assertTrue(any("service" not in letter["levels"] for letter in letters), letters[:3])
            self.assertFalse(any(letter.get("bucket") == "honest" and "buckets" in letter["levels"] for letter in letters))


if __name__ == "__main__":
    main()
