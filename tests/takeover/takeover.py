# SPDX-License-Identifier: Apache-2.0
"""Opens copies at the time when they were written, asks all questions, and reads a Redis key by key."""

import contextlib
import json
import lzma
import os
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import harness  # noqa: E402 (its folder has to be known first)
import redis_server  # noqa: E402

CLOCK = os.environ.get("TEST_CLOCK_LIBRARY", "")
STATES = ("storageUtilized", "numberOfObjects")


@contextlib.contextmanager
def clock_at(time_ms):
    """What is started within the block takes this for the present."""
    # AddressSanitizer wants to be loaded first, which nothing here depends on.
    sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
    changed = {"LD_PRELOAD": CLOCK, "TEST_CLOCK_MS": str(time_ms), "ASAN_OPTIONS": sanitizer}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Copies:
    """A folder of copies: what a version left behind, and the answers that it gave itself."""

    def __init__(self, name):
        self.folder = os.path.join(HERE, name)
        with open(os.path.join(self.folder, "questions.json"), encoding="utf-8") as file:
            self.questions = json.load(file)
        self.written_ms = self.questions["writtenMs"]

    def unpack(self, name, folder):
        """Puts the files of a copy into a folder, as they were."""
        with tarfile.open(os.path.join(self.folder, f"{name}.tar.xz")) as archive:
            archive.extractall(folder)

    def answers(self, name):
        with lzma.open(os.path.join(self.folder, f"{name}.json.xz"), "rt", encoding="utf-8") as answers:
            return json.load(answers)

    def load_redis(self, redis):
        """Runs the commands of the dump: one a line, a JSON array of words, their bytes as Latin-1."""
        with contextlib.closing(redis_server.Client(redis.address)) as client:
            with lzma.open(os.path.join(self.folder, "redis.commands.xz"), "rt", encoding="utf-8") as lines:
                for line in lines:
                    client.ask(*(word.encode("latin-1") for word in json.loads(line)))


# ---- answers -----------------------------------------------------------------------------------------------


def get(server, path):
    status, body = server.request("GET", path)
    if status != 200:
        raise AssertionError(f"{path}: {status} {body[:500]!r}")
    return json.loads(body)


def usage(server, level, names, time_range):
    """ListMetrics, of a server that asks for no signature: figures by name, without operations that did not happen."""
    body = json.dumps({level: names, "timeRange": time_range})
    status, answer = server.request("POST", f"/{level}?Action=ListMetrics", body)
    if status != 200:
        raise AssertionError(f"{level} {names} {time_range}: {status} {answer[:500]!r}")
    figures = {}
    for name, one in zip(names, json.loads(answer), strict=True):
        counted = {operation: count for operation, count in one["operations"].items() if count}
        figures[name] = [*(one[state] for state in STATES), one["incomingBytes"], one["outgoingBytes"], counted]
    return figures


def all_usage(server, questions):
    """Every name in every range, "level start-end": figures by name."""
    return {
        f"{level} {start}-{end}": usage(server, level, names, [start, end])
        for level, names in questions["names"].items()
        for start, end in questions["ranges"]
    }


def all_storage(server, questions):
    return {
        f"{level}/{name}": server.storage(level, name)
        for level, names in questions["names"].items()
        for name in names
    }


def journal_counts(server):
    """What the healthcheck says of events that wait or are lost. The journal's size and their age are left out."""
    seen = get(server, "/_/healthcheck").get("journal", {})
    counted = ("waiting", "refused", "lost", "refusedAcknowledged", "lostAcknowledged")
    return {name: seen[name] for name in counted if name in seen}


def data_folder(server):
    return server.command[server.command.index("--data") + 1]


def audit(server):
    """Who corrected what, as utapictl shows it. Through the socket of the server."""
    ran = subprocess.run(
        [harness.UTAPICTL, "audit", "--json", "--data", data_folder(server)], capture_output=True, text=True, timeout=60,
        check=True, env=harness.server_environment(),
    )  # fmt: skip
    return json.loads(ran.stdout)


# ---- Redis -------------------------------------------------------------------------------------------------


def v1_keys(redis):
    """What a Node server reads: values by key, and of each state's member the figure alone, for its end is random."""
    values = {}
    with contextlib.closing(redis_server.Client(redis.address)) as client:
        for key in sorted(client.ask("KEYS", "s3:*")):
            if "utapid:" in key:
                continue
            if client.ask("TYPE", key) == "string":
                values[key] = client.ask("GET", key)
            else:
                members = client.ask("ZRANGE", key, 0, -1, "WITHSCORES")
                values[key] = [
                    [score, member.split(":")[0]] for member, score in zip(members[::2], members[1::2], strict=True)
                ]
    return values
