# SPDX-License-Identifier: Apache-2.0
"""A utapid whose clock is not Redis's: it expires nobody's buckets early, and says how far the clocks are apart."""

import os

from flowing import health
from harness import INTERVAL_MS, interval_of, main, now_ms, put_object
from redis_server import wait_for
from test_redis import OnRedis

CLOCK = os.environ.get("TEST_CLOCK_LIBRARY")
DAY_MS = 86400000


class Clocks(OnRedis):
    def ahead(self, redis, by_ms, **env):
        """A utapid whose clock is so far ahead."""
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        clock = {"LD_PRELOAD": CLOCK, "TEST_CLOCK_MS": str(now_ms() + by_ms), "ASAN_OPTIONS": sanitizer}
        return self.server_on(redis, env={**clock, **env})

    def stored(self, server, name):
        whole = [interval_of(now_ms()) - 4 * INTERVAL_MS, interval_of(now_ms()) + 3 * DAY_MS + INTERVAL_MS - 1]
        return server.list("buckets", [name], whole)[0]["storageUtilized"][1]

    def test_one_that_is_a_day_ahead_expires_no_bucket(self):
        redis = self.redis().start()
        expiring = {"UTAPI_EXPIRE_METRICS": "true", "UTAPI_EXPIRE_METRICS_TTL": "3600"}
        with self.server_on(redis, env=expiring) as server:
            self.assertEqual(server.push([put_object("kept", 10)]), 200)
            self.assertEqual(server.push([{"operationId": "deleteBucket", "bucket": "kept", "timestamp": now_ms()}]), 200)
            wait_for(lambda: redis.command("ZSCORE", "s3:utapid:due", "kept"), "the schedule")
        with self.ahead(redis, DAY_MS, **expiring) as server:
            told = wait_for(lambda: health(server).get("trouble"), "word of the clocks")
            self.assertRegex(told, r"^Redis's clock and this machine's are 86[34]\d\d s apart")
            self.assertEqual(health(server)["status"], "degraded")
            for _ in range(3):  # deliveries, and maintenance between them
                self.assertEqual(server.push([put_object("other", 10)]), 200)
                wait_for(lambda: health(server)["journal"]["waiting"] == 0, "the delivery")
            wait_for(lambda: "storage: its clock is 864" in server.log(), "a line of the log")
            self.assertIsNotNone(redis.command("ZSCORE", "s3:utapid:due", "kept"))
            self.assertEqual(redis.counter("buckets", "kept", "storageUtilized"), 10)

    def test_half_a_minute_is_told_and_is_no_trouble(self):
        redis = self.redis().start()
        with self.ahead(redis, 30000) as server:
            skew = wait_for(lambda: health(server).get("clockSkewMs"), "the skew")
            self.assertTrue(-31000 < skew < -29000, skew)
            self.assertEqual(health(server)["status"], "ok")
            wait_for(lambda: "behind this machine's" in server.log(), "a line of the log")
        with self.server_on(redis) as server:
            self.assertNotIn("clockSkewMs", health(server))


if __name__ == "__main__":
    main()
