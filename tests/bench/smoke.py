# SPDX-License-Identifier: Apache-2.0
"""Every workload of utapi-bench on some storages, with very small sizes; then what is made of the document.

    python3 smoke.py UTAPI-BENCH UTAPID STORAGES
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BENCH, UTAPID, STORAGES = sys.argv[1:4]
# 30 buckets at least for a million, and a day of them: enough for every workload to have something to do.
SMALL = ["--scale", "0.003", "--duration", "0.05", "--repeat", "1", "--utapid", UTAPID]
# The parts of a line's name.
UNANSWERED = re.compile(r"^(\S+) +(\S+) +(\S+) +not measured: no request was answered within", re.M)


def bench(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=500, check=False)


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.document_path = os.path.join(cls.folder, "run.json")
        cls.data = os.path.join(cls.folder, "data")
        os.mkdir(cls.data)
        transports = "process,http" if "redis" not in STORAGES else "process"
        cls.run_ = bench("--backend", STORAGES, "--transport", transports, "--data", cls.data,
                         "--json", cls.document_path, *SMALL)  # fmt: skip

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def document(self):
        with open(self.document_path, encoding="utf-8") as file:
            return json.load(file)

    def test_every_line_is_measured_and_nothing_fails(self):
        # What a loaded machine did not get round to is measured again, for longer.
        unanswered = UNANSWERED.findall(self.run_.stdout)
        self.assertEqual(self.run_.returncode, 1 if unanswered else 0, self.run_.stdout + self.run_.stderr)
        self.assertEqual(self.run_.stdout.count("not measured"), len(unanswered), self.run_.stdout)
        self.assertNotIn("FAILED", self.run_.stdout)
        workloads = {line["workload"] for line in self.document()["results"]}
        for workload, backend, transport in unanswered:
            again = bench("--backend", backend, "--transport", transport, "--no-floors", *SMALL, "--duration", "5", workload)
            self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
            workloads.add(workload)
        self.assertGreaterEqual(len(workloads), 25)

    def test_each_line_has_its_figures_and_floors(self):
        document = self.document()
        self.assertEqual(document["format"], 1)
        self.assertGreater(document["disk"]["syncs_per_s"], 0)
        for line in document["results"]:
            self.assertEqual(line["failed"], 0, line)
            self.assertEqual(len(line["per_s"]["repeats"]), 1)
            self.assertLessEqual(line["p50_us"]["median"], line["max_us"]["median"])
            if line["workload"].split(".")[0] != "mixed" or line["transport"] == "http":
                self.assertTrue(line["floors"] or "journal+memory" in line["backend"], line)
            for floor in line["floors"]:  # a loaded machine may not get round to one request
                self.assertGreaterEqual(floor["per_s"]["median"], 0, line)

    def test_nothing_is_left_behind(self):
        self.assertEqual(os.listdir(self.data), [])

    def test_a_document_equals_itself(self):
        compared = bench("compare", "--fail-on-regression", self.document_path, self.document_path)
        self.assertEqual(compared.returncode, 0, compared.stderr)
        self.assertIn("0 better, 0 worse", compared.stdout)

    def test_a_slower_run_is_told_and_fails_if_asked(self):
        slower = self.document()
        for line in slower["results"]:
            for figure in ("median", "least", "most"):
                line["per_s"][figure] /= 2
        path = os.path.join(self.folder, "slower.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(slower, file)
        self.assertEqual(bench("compare", self.document_path, path).returncode, 0)
        compared = bench("compare", "--fail-on-regression", self.document_path, path)
        self.assertEqual(compared.returncode, 1)
        self.assertIn("WORSE", compared.stdout)

    def test_plots_are_drawn_or_what_is_missing_is_said(self):
        folder = os.path.join(self.folder, "plots")
        drawn = bench("plot", self.document_path, folder)
        if shutil.which("gnuplot") is None:
            self.assertEqual(drawn.returncode, 1)
            self.assertIn("apt-get install", drawn.stderr)
            return
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        for name in ("throughput", "latency", "floors"):
            with open(os.path.join(folder, name + ".svg"), encoding="utf-8") as file:
                self.assertIn("<svg", file.read())

    def test_an_open_loop_counts_from_when_a_request_was_due(self):
        path = os.path.join(self.folder, "open.json")
        too_fast = bench("--backend", "memory", "--transport", "process", "--rate", "100000000", "--no-floors",
                         "--json", path, *SMALL, "ingest.1")  # fmt: skip
        self.assertEqual(too_fast.returncode, 0, too_fast.stdout + too_fast.stderr)
        with open(path, encoding="utf-8") as file:
            (line,) = json.load(file)["results"]
        self.assertGreater(line["unsent"], 0)
        self.assertEqual(line["floors"], [])

    def test_wrong_words_are_refused(self):
        for arguments in (["no-such-workload"], ["--repeat", "0"], ["--duration", "x"], ["--transport", "smoke"],
                          ["--no-such-option"], ["compare", "one.json"], ["plot"], ["--url", "ftp://x"]):  # fmt: skip
            refused = bench(*arguments)
            self.assertEqual(refused.returncode, 2, arguments)
            self.assertNotEqual(refused.stderr, "", arguments)
        self.assertEqual(bench("compare", "/nowhere/a.json", "/nowhere/b.json").returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
