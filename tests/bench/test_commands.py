# SPDX-License-Identifier: Apache-2.0
"""What utapi-bench says when it cannot do what it is asked, and what it leaves behind then.

    python3 test_commands.py UTAPI-BENCH UTAPID
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

BENCH, UTAPID = sys.argv[1:3]
# One line, as short as can be.
ONE_LINE = ["--backend", "memory", "--transport", "process", "--no-floors", "--scale", "0.003",
            "--duration", "0.05", "--repeat", "1", "--utapid", UTAPID, "ingest.1"]  # fmt: skip


def bench(*arguments, **options):
    return subprocess.run(
        [BENCH, *arguments], capture_output=True, text=True, timeout=120, check=False, **options
    )


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def test_an_unknown_option_is_told_in_two_lines(self):
        refused = bench("--no-such-option")
        self.assertEqual(refused.returncode, 2)
        self.assertEqual(refused.stdout, "")
        unknown, advice = refused.stderr.splitlines()
        self.assertIn("--no-such-option", unknown)
        self.assertIn("--help", advice)

    def test_a_document_that_is_not_there_is_told_by_its_reason(self):
        for command in (["compare", self.path("a.json"), self.path("b.json")], ["plot", self.path("a.json"), "p"]):
            refused = bench(*command)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(self.path("a.json") + ": No such file or directory\n", refused.stderr)

    def test_each_command_tells_how_it_is_used(self):
        for command in (["--help"], ["compare", "--help"], ["compare", "-h"], ["plot", "--help"]):
            told = bench(*command)
            self.assertEqual(told.returncode, 0, command)
            self.assertTrue(told.stdout.startswith("usage: utapi-bench "), command)
            self.assertEqual(told.stderr, "")

    def test_a_folder_may_be_named_from_here(self):
        os.mkdir(self.path("data"))
        file_systems = set()
        for data in ("data", self.path("data")):
            run = bench("--data", data, "--json", "run.json", *ONE_LINE, cwd=self.folder)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            with open(self.path("run.json"), encoding="utf-8") as file:
                file_systems.add(json.load(file)["machine"]["file_system"])
        self.assertEqual(len(file_systems), 1)
        self.assertNotIn("unknown", file_systems)

    @unittest.skipIf(shutil.which("redis-server") is None, "no redis-server")
    def test_a_redis_finds_a_folder_that_is_named_from_here(self):
        os.mkdir(self.path("data"))
        run = bench(*ONE_LINE, "--backend", "redis", "--data", "data", cwd=self.folder)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_a_document_that_cannot_be_written_is_told_before_anything_runs(self):
        for path in (self.path("nowhere", "run.json"), self.folder):
            refused = bench("--json", path, *ONE_LINE)
            self.assertEqual(refused.returncode, 1)
            self.assertEqual(refused.stdout, "")
            self.assertIn(path, refused.stderr)

    def test_an_interrupted_run_leaves_no_document(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            path, data = self.path("run.json"), self.path(number.name)
            os.mkdir(data)
            arguments = [BENCH, *ONE_LINE, "--repeat", "100", "--duration", "60", "--json", path, "--data", data]
            with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
                while not run.stdout.readline().startswith("workload"):
                    pass
                run.send_signal(number)
                _, said = run.communicate(timeout=60)
            self.assertEqual(run.returncode, 128 + number)
            self.assertIn("interrupted: no figures are written\n", said)
            self.assertFalse(os.path.exists(path))
            self.assertEqual(os.listdir(data), [])

    def test_a_document_goes_to_stdout_and_the_table_elsewhere(self):
        run = bench("--json", "-", *ONE_LINE, cwd=self.folder)
        self.assertEqual(run.returncode, 0, run.stderr)
        (line,) = json.loads(run.stdout)["results"]
        self.assertEqual(line["workload"], "ingest.1")
        self.assertIn("a second", run.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_server_that_does_not_start_is_told_with_how_it_ended(self):
        for program, reason in ((shutil.which("false"), "it ended with exit status 1"),
                                (self.path("none"), "it cannot be executed")):  # fmt: skip
            run = bench(*ONE_LINE, "--transport", "http", "--utapid", program)
            self.assertEqual(run.returncode, 1)
            self.assertIn(f"{program} does not start: {reason}\n", run.stdout)

    @unittest.skipIf(shutil.which("redis-server") is None, "no redis-server")
    def test_redis_is_measured_by_what_it_can_be_unless_more_is_asked_for(self):
        small = [argument for argument in ONE_LINE if argument not in ("--transport", "process")]
        run = bench(*small, "--backend", "redis")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, "ingest.1 +redis +process +[0-9]")
        self.assertIn("skipped: utapid has a journal before it; measure journal+redis\n", run.stdout)
        self.assertEqual(bench(*small, "--backend", "redis", "--transport", "http").returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
