# SPDX-License-Identifier: Apache-2.0
"""Every workload of utapi-bench on some storages, with very small sizes; then what is made of the document.

    python3 smoke.py UTAPI-BENCH UTAPID STORAGES
"""

import concurrent.futures
import itertools
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
# A busy machine lets a thread wait for tens of milliseconds: in this time something is answered all the same.
DURATION = "0.15"
SMALL = ["--scale", "0.003", "--duration", DURATION, "--repeat", "1", "--utapid", UTAPID]
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
        transports = ["process", "http"] if "redis" not in STORAGES else ["process"]
        with concurrent.futures.ThreadPoolExecutor() as pool:  # side by side, for a journal is mostly waited for
            cls.runs = list(pool.map(cls.run_by, transports))
        documents = [cls.read(cls.path(transport)) for transport in transports]
        documents[0]["results"] = [line for document in documents for line in document["results"]]
        with open(cls.document_path, "w", encoding="utf-8") as file:
            json.dump(documents[0], file)

    @classmethod
    def path(cls, transport):
        return os.path.join(cls.folder, transport + ".json")

    @classmethod
    def run_by(cls, transport):
        return bench("--backend", STORAGES, "--transport", transport, "--data", cls.data,
                     "--json", cls.path(transport), *SMALL)  # fmt: skip

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def document(self):
        return self.read(self.document_path)

    def unanswered(self, run):
        """The lines that a loaded machine did not get round to; nothing else may be wrong with a run."""
        lines = UNANSWERED.findall(run.stdout)
        self.assertEqual(run.returncode, 1 if lines else 0, run.stdout + run.stderr)
        self.assertEqual(run.stdout.count("not measured"), len(lines), run.stdout)
        self.assertNotIn("FAILED", run.stdout)
        return lines

    def test_every_line_is_measured_and_nothing_fails(self):
        lines = [line for run in self.runs for line in self.unanswered(run)]
        workloads = {line["workload"] for line in self.document()["results"]} | {line[0] for line in lines}
        for seconds in ("0.3", "1", "5"):  # again, for longer and longer
            again = [bench("--backend", backend, "--transport", transport, "--no-floors", *SMALL, "--duration", seconds,
                           *(line[0] for line in same))
                     for (backend, transport), same in itertools.groupby(lines, lambda line: line[1:])]  # fmt: skip
            lines = [line for run in again for line in self.unanswered(run)]
        self.assertEqual(lines, [])
        self.assertGreaterEqual(len(workloads), 25)

    def test_each_line_has_its_figures_and_floors(self):
        document = self.document()
        self.assertEqual(document["format"], 1)
        self.assertGreater(document["disk"]["syncs_per_s"], 0)
        for line in document["results"]:
            self.assertEqual(line["failed"], 0, line)
            self.assertEqual(len(line["per_s"]["repeats"]), 1)
            self.assertLessEqual(line["p50_us"]["median"], line["max_us"]["median"])
            self.assertTrue(line["floors"], line)
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
        (line,) = self.read(path)["results"]
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
