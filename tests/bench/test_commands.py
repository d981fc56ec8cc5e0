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
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# One line, as short as can be.
ONE_LINE = ["--backend", "memory", "--transport", "process", "--scale", "0.003", "--no-floors",
            "--duration", "0.15", "--repeat", "1", "--utapid", UTAPID, "ingest.1"]  # fmt: skip


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

    def line(self):
        """The only line of run.json."""
        with open(self.path("run.json"), encoding="utf-8") as file:
            (line,) = json.load(file)["results"]
        return line

    def test_an_unknown_option_is_told_in_two_lines(self):
        refused = bench("--no-such-option")
        self.assertEqual(refused.returncode, 2)
        self.assertEqual(refused.stdout, "")
        unknown, advice = refused.stderr.splitlines()
        self.assertIn("--no-such-option", unknown)
        self.assertIn("--help", advice)

    def test_what_makes_no_sense_is_refused_before_anything_runs(self):
        url = "http://127.0.0.1:1"
        for arguments, reason in (
            (["--backend", "no-such-storage"], '"no-such-storage"'),
            (["--backend", "journal+"], '"journal+"'),
            (["--backend", "lmdb,memory,lmdb"], "each storage once"),
            (["--repeat", "2.7"], "a whole number"),
            (["--seed", "1.5"], "a whole number"),
            (["--load", "50", "--rate", "100"], "leave out --rate"),
            (["--url", "http://localhost:8100"], "IPv4"),
            (["--url", "http://127.0.0.1"], "IPv4"),
            (["--url", "http://127.0.0.1:+80"], "IPv4"),
            (["--url", "http://127.0.0.1:80/path"], "IPv4"),
            (["--url", url, "--backend", "lmdb"], "leave out --backend"),
            (["--url", url, "--transport", "process,http"], "leave out --transport"),
        ):
            refused = bench(*arguments, "ingest.1")
            self.assertEqual(refused.returncode, 2, arguments)
            self.assertEqual(refused.stdout, "", arguments)
            self.assertIn(reason, refused.stderr)

    def test_a_flag_given_twice_stays_on(self):
        run = bench(*ONE_LINE, "--no-floors", "--json", self.path("run.json"))
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(self.line()["floors"], [])
        self.assertIn("\n1 repetition of 0.15 s, closed loop", run.stdout)
        quick = bench("--short", "--short", *ONE_LINE[:6], "--no-floors", "--repeat", "1", "ingest.1")
        self.assertIn("\n1 repetition of 0.6 s, closed loop", quick.stdout)

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

    def test_what_cannot_be_printed_is_no_success(self):
        for command in (["--help"], ["compare", "--help"], ONE_LINE):
            with open("/dev/full", "w", encoding="utf-8") as full:
                run = subprocess.run([BENCH, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(run.returncode, 1, command)
            self.assertIn("not all that was printed could be written", run.stderr)

    def test_a_folder_of_pictures_may_have_any_name(self):
        self.assertEqual(bench(*ONE_LINE, "--json", self.path("run.json")).returncode, 0)
        folder = self.path("it's $here")
        os.mkdir(folder)
        for name in ("throughput", "latency", "floors"):
            with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as old:
                old.write("of another document")
        drawn = bench("plot", self.path("run.json"), folder)
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                self.assertNotIn("of another document", file.read())
        self.assertIn("latency.svg", os.listdir(folder))

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

    def test_pictures_that_cannot_be_drawn_are_told_before_anything_runs(self):
        for folder, path, reason in ((self.path("nowhere", "plots"), None, self.path("nowhere", "plots")),
                                     (BENCH, None, BENCH),
                                     (self.path("plots"), self.folder, "apt-get install")):  # fmt: skip
            environment = {**os.environ, **({"PATH": path} if path is not None else {})}
            refused = bench("--plot", folder, *ONE_LINE, env=environment)
            self.assertEqual(refused.returncode, 1)
            self.assertEqual(refused.stdout, "")
            self.assertIn(reason, refused.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_line_of_which_nothing_was_answered_is_not_measured(self):
        # One request is due when it begins, in the part that is not counted, and the next one later than it ends.
        # A turn lasts until each bucket had its event, and is in the document whatever became of the lines before.
        run = bench(*ONE_LINE, "turn.10k", "--rate", "1", "--json", self.path("run.json"))
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertRegex(run.stdout, "ingest.1 .* not measured: no request was answered within 0.15 s\n")
        self.assertEqual(self.line()["workload"], "turn.10k")

    def test_a_table_without_a_line_is_no_success(self):
        run = bench(*ONE_LINE[:-1], "start.10k")
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertRegex(run.stdout, "start.10k +memory +process +skipped: ")
        self.assertIn("utapi-bench: nothing was measured: ", run.stderr)

    def test_a_ratio_stands_only_where_both_sides_go_as_fast_as_they_can(self):
        with_floors = [argument for argument in ONE_LINE if argument != "--no-floors"]
        for rate, floors in (("0", ["noop-engine"]), ("2000", [])):
            run = bench(*with_floors, "--rate", rate, "--json", self.path("run.json"))
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            self.assertEqual([floor["name"] for floor in self.line()["floors"]], floors)
            self.assertEqual("noop-engine" in run.stdout, floors != [])
            self.assertEqual("of floor" in run.stdout, floors != [])

    def test_a_server_that_runs_already_has_no_floors(self):
        arguments = [UTAPID, "--port", "0", "--backend", "memory", "--no-auth"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            try:
                url = server.stdout.readline().split("listening on ")[1].strip()
                run = bench(*ONE_LINE[4:6], "--repeat", "1", "--duration", "1", "--url", url, "--json",
                            self.path("run.json"), "ingest.1")  # fmt: skip
            finally:
                server.terminate()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(self.line()["floors"], [])
        self.assertNotIn("-server", run.stdout)

    def test_a_floor_is_shared_only_by_lines_of_the_same_work(self):
        small = [argument for argument in ONE_LINE if argument not in ("--transport", "process", "--no-floors", "ingest.1")]
        run = bench(*small, "--backend", "lmdb", "--duration", "0.3", "--json", self.path("run.json"),
                    "start.10k", "late")  # fmt: skip
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        with open(self.path("run.json"), encoding="utf-8") as file:
            lines = json.load(file)["results"]
        rates = {(line["workload"], line["transport"], floor["name"]): floor["per_s"]["median"]
                 for line in lines for floor in line["floors"]}  # fmt: skip
        for name in ("late.1", "late.10"):  # what LMDB does has nothing to do with the transport
            self.assertEqual(rates[name, "process", "raw-lmdb"], rates[name, "http", "raw-lmdb"])
        self.assertNotEqual(rates["late.1", "process", "raw-lmdb"], rates["late.10", "process", "raw-lmdb"])
        self.assertNotEqual(rates["start.10k", "process", "empty-storage"], rates["start.10k", "http", "empty-storage"])

    def test_a_load_is_a_part_of_what_the_closed_loop_reaches(self):
        due = []
        for load in ("100", "1"):  # that this makes a difference no machine is too busy for
            run = bench(*ONE_LINE[:-1], "--load", load, "--json", self.path("run.json"), "list.15min")
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            self.assertIn(" open loop, ", run.stdout)
            self.assertEqual(self.line()["floors"], [])
            due.append(self.line()["requests"] + self.line()["unsent"])
        self.assertGreater(due[0], due[1])

    def test_a_load_has_no_meaning_for_a_start_or_a_turn(self):
        run = bench(*ONE_LINE[:-1], "--backend", "lmdb", "--load", "50", "start.10k", "turn.10k")
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stdout.count("skipped: it has no rate that a load could be a part of"), 2)

    def test_what_takes_minutes_runs_only_if_it_is_named_in_full(self):
        small = [*ONE_LINE[:-1], "--backend", "lmdb"]
        for words, expected in ((["start"], {"start.10k", "start.1m"}), (["start.10g"], {"start.10g"})):
            run = bench(*small, "--scale", "0.00001", "--json", self.path("run.json"), *words)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            with open(self.path("run.json"), encoding="utf-8") as file:
                self.assertEqual({line["workload"] for line in json.load(file)["results"]}, expected)

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

    def test_help_of_bench_and_soak_neither_installs_nor_builds(self):
        for part in ("run", "bench/README.md", "docs/openapi.json", "tests/system"):
            source, copy = os.path.join(ROOT, part), self.path("copy", part)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, copy)
        os.mkdir(self.path("bin"))
        for tool in ("sh", "dirname", "nproc", "sed", "python3"):
            os.symlink(shutil.which(tool), self.path("bin", tool))
        for arguments, told in ((["bench", "--help"], "--backend"), (["bench", "ingest.1", "-h"], "--backend"),
                                (["soak", "--help"], "journal+lmdb"), (["help"], "--backend")):  # fmt: skip
            helped = subprocess.run([self.path("copy", "run"), *arguments], env={"PATH": self.path("bin")},
                                    capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
            self.assertEqual(helped.returncode, 0, helped.stderr)
            self.assertIn(told, helped.stdout)
            self.assertNotIn("Building", helped.stdout)
        self.assertFalse(os.path.exists(self.path("copy", "build")))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
