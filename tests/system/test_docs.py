# SPDX-License-Identifier: Apache-2.0
"""Every command in the guides works as written: the blocks marked "sh" are run in order by bash, with the port, the
folder and the programs of the test in place of those in the text. The examples store where the guides say."""

import json
import os
import re
import shutil
import subprocess

import redis_server
from harness import AUTH_FILE, ROOT, UTAPID, Server, SystemTest, main, now_ms, server_environment

DAY_MS = 86_400_000
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


def commands_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return COMMANDS.findall(file.read())


class Documents(SystemTest):
    def run_commands(self, blocks, port):
        """What bash prints; it stops at the first command that fails."""
        programs = os.path.dirname(UTAPID)
        script = "\n".join(blocks).replace("build/bin/", programs + "/").replace("/tmp/utapi", self.folder + "/data")
        script = script.replace("127.0.0.1:8100", f"127.0.0.1:{port}")
        script = re.sub(r"(/utapictl (?:push|list))", rf"\1 -p {port}", script)
        ran = subprocess.run(
            ["bash", "-eu", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
            env=server_environment({"PS4": "$ "}),
        )  # fmt: skip
        self.assertEqual(ran.returncode, 0, f"{script}\n{ran.stdout}\n{ran.stderr}")
        return ran.stdout

    def test_quickstart(self):
        start, *others, stop = commands_of("docs/quickstart.md")
        self.assertIn("utapid", start)
        self.assertIn("kill", stop)
        # A free port, found by starting a server once; a reader waits for the line that says it is ready.
        with self.server() as utapid:
            port = utapid.port
        wait = f"until curl -s http://127.0.0.1:{port}/_/healthcheck; do sleep 0.05; done"
        printed = self.run_commands([start.replace(" &", f" --port {port} &"), wait, *others, stop, "wait"], port)
        self.assertIn(f"utapid: listening on http://127.0.0.1:{port}", printed)
        self.assertIn("photos", printed)

    def test_http_api(self):
        with self.server() as utapid:
            printed = self.run_commands(commands_of("docs/http-api.md"), utapid.port)
        self.assertIn('"bucketName":"photos"', printed)
        self.assertIn('{"code":"InvalidParameterValue","message":"events[0].sizeDelta: expected an integer"}', printed)
        self.assertIn('{"storageUtilized":2000,"resource":"photos","level":"buckets"}', printed)

    def test_a_late_write_of_a_node_writer_is_listed_once_the_summaries_are_dropped(self):
        if redis_server.REDIS_SERVER is None:
            self.skip_or_fail("there is no redis-server")
        redis = redis_server.Redis(self.folder, durable="").start()
        self.addCleanup(redis.kill)
        first = now_ms() // DAY_MS * DAY_MS - 60 * DAY_MS
        flow = f"s3:buckets:{first + DAY_MS}:photos:PutObject"
        redis.command("SET", flow, 3)
        with self.server("--redis", redis.uri, backend=None) as server:

            def puts():
                return server.list("buckets", ["photos"], [first, first + 50 * DAY_MS - 1])[0]["operations"]["s3:PutObject"]

            self.assertEqual(puts(), 3)
            redis_server.wait_for(lambda: redis.command("KEYS", "s3:buckets:photos:+utapid:[0-9m]*"), "summaries")
            redis.command("INCRBY", flow, 4)
            redis.command("SET", f"s3:buckets:{first}:photos:PutObject", 10)
            self.assertEqual(puts(), 3)
            script = "\n".join(commands_of("docs/operating-redis.md")).replace("redis-cli", f"redis-cli -s {redis.socket_path}")
            subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], check=True, timeout=60, stdout=subprocess.DEVNULL)
            self.assertEqual(puts(), 17)

    def backend_of(self, example, *flags):
        """The storage that utapid takes for an example, of which only the ports and paths are the test's."""
        with open(os.path.join(ROOT, "docs", "examples", example), encoding="utf-8") as file:
            text = re.sub(r"\b2?6379\b", str(redis_server.free_port()), file.read())
        path = os.path.join(self.folder, example)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("10.0.0.", "127.0.0.").replace("/var/lib", self.folder))
        shutil.copy(AUTH_FILE, self.folder)
        with Server(self.folder, "--config", path, *flags, auth_file=None, backend=None) as server:
            health = json.loads(server.request("GET", "/_/healthcheck")[1])
        return "redis" if "journal" in health else "lmdb"

    def test_examples_store_where_the_guides_say(self):
        self.assertEqual(self.backend_of("cloudserver-config.json"), "redis")
        self.assertEqual(self.backend_of("cloudserver-config.json", "--backend", "lmdb"), "lmdb")
        self.assertEqual(self.backend_of("utapid-redis.json"), "redis")
        self.assertEqual(self.backend_of("utapid.json"), "lmdb")


if __name__ == "__main__":
    main()
