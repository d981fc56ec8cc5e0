# SPDX-License-Identifier: Apache-2.0
"""Runs utapid as a process and talks to it: what every system test shares. Standard library only. Each
answer is held against docs/openapi.json.

The programs come from the environment: UTAPID and UTAPICTL (paths). UTAPI_CI=1 turns a skipped test into
a failure, so that CI cannot pass by not looking.
"""

import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import uuid

import openapi

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SAMPLES = os.path.join(ROOT, "tests", "samples")
AUTH_FILE = os.path.join(ROOT, "docs", "examples", "authdata.json")
UTAPID = os.environ.get("UTAPID", os.path.join(ROOT, "build", "dev", "bin", "utapid"))
UTAPICTL = os.environ.get("UTAPICTL", os.path.join(os.path.dirname(UTAPID), "utapictl"))

ACCESS_KEY, SECRET_KEY = "accessKey1", "verySecretKey1"
ACCOUNT_ID = "123456789012"
CANONICAL_ID = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

INTERVAL_MS = 900_000
LEVEL_MEMBERS = {
    "buckets": "bucketName", "accounts": "accountId", "users": "userId", "service": "serviceName",
    "locations": "locationName",
}  # fmt: skip


def now_ms():
    return int(time.time() * 1000)


def interval_of(time_ms):
    return time_ms - time_ms % INTERVAL_MS


def range_around(*times_ms):
    """A range whose intervals hold all these times, and that starts an interval earlier."""
    return [interval_of(min(times_ms)) - INTERVAL_MS, interval_of(max(times_ms)) + INTERVAL_MS - 1]


# ---- the server ------------------------------------------------------------------------------------


class Server:
    """A running utapid. Use as a context manager: leaving it ends the process and asserts a clean exit."""

    READY = re.compile(r"^utapid: listening on https?://(?:127\.0\.0\.1|\[::1?\]|0\.0\.0\.0):(\d+)$", re.M)

    def __init__(self, data, *flags, port=0, auth_file=AUTH_FILE, backend="lmdb", env=None):
        self.log_path = os.path.join(data, f"utapid-{uuid.uuid4()}.log")
        os.makedirs(data, exist_ok=True)
        self.command = [UTAPID, "--port", str(port), "--data", os.path.join(data, "lmdb")]
        self.command += ["--backend", backend] if backend else []
        self.command += (["--auth-file", auth_file] if auth_file else []) + list(flags)
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=server_environment(env)
            )
        self.port = self._wait_until_ready()

    def _wait_until_ready(self, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            ready = self.READY.search(self.log())
            if ready:
                return int(ready.group(1))
            if self.process.poll() is not None:
                raise RuntimeError(f"utapid ended with {self.process.returncode}:\n{self.log()}")
            time.sleep(0.01)
        self.process.kill()
        self.process.wait()
        raise RuntimeError(f"utapid was not ready in {timeout_s} s:\n{self.log()}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout_s=60):
        """SIGTERM, and the exit status; what a sanitizer has to say ends up in the exception."""
        if self.process.poll() is None:
            self.terminate()
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"utapid did not stop in {timeout_s} s:\n{self.log()[-4000:]}") from None
        if status != 0:
            raise AssertionError(f"utapid ended with {status}:\n{self.log()[-8000:]}")
        return status

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.stop()
        else:
            self.kill()
            print(f"utapid's log:\n{self.log()[-4000:]}", file=sys.stderr)

    # -- talking to it

    def connect(self, timeout_s=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def request(self, method, target, body=b"", headers=None, connection=None):
        """(status, body) of one request; on a connection of its own unless one is given."""
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connect()))
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            answer = response.read()
            openapi.check_answer(method, target, response.status, response.getheader("content-type"), answer)
            return response.status, answer

    def push(self, events, connection=None, path="/v2/ingest"):
        """Posts events; the status."""
        body = json.dumps(events).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json"}, connection)[0]

    def list(self, level, names, time_range, connection=None, key=(ACCESS_KEY, SECRET_KEY)):
        """ListMetrics, signed: the answers, one for each name."""
        target = f"/{level}?Action=ListMetrics"
        body = json.dumps({level: names, "timeRange": time_range}).encode()
        headers = signed_headers("POST", f"127.0.0.1:{self.port}", target, body, *key)
        status, answer = self.request("POST", target, body, headers, connection)
        if status != 200:
            raise AssertionError(f"{target} {names}: {status} {answer[:500]!r}")
        return json.loads(answer)

    def storage(self, level, name):
        status, answer = self.request("GET", f"/v2/storage/{level}/{urllib.parse.quote(name, safe='')}")
        if status != 200:
            raise AssertionError(f"/v2/storage/{level}/{name}: {status} {answer[:500]!r}")
        return json.loads(answer)["storageUtilized"]


def server_environment(extra=None):
    """Only what the server needs: no UTAPI_ setting of the caller may reach it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("UTAPI_")}
    env.update(extra or {})
    return env


def raise_file_limit(wanted):
    """Lets this process, and those that it starts, open more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


# ---- events and answers ------------------------------------------------------------------------------


def put_object(bucket, size, time_ms=None, **more):
    """A V2 event: one new object."""
    return {
        "operationId": "putObject", "uuid": str(uuid.uuid4()), "timestamp": time_ms or now_ms(), "bucket": bucket,
        "account": CANONICAL_ID, "objectDelta": 1, "sizeDelta": size, "incomingBytes": size, **more,
    }  # fmt: skip


def figures(answer):
    """An answer in the form of tests/samples/cloudserver-v2-expected.json."""
    return {
        "storageUtilized": answer["storageUtilized"][1],
        "numberOfObjects": answer["numberOfObjects"][1],
        "incomingBytes": answer["incomingBytes"],
        "outgoingBytes": answer["outgoingBytes"],
        "operations": {name: count for name, count in answer["operations"].items() if count},
    }


# ---- AWS Signature Version 4 ---------------------------------------------------------------------------


def signature_v4(secret_key, date, region, service, text):
    key = ("AWS4" + secret_key).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def signed_headers(method, host, target, body, access_key, secret_key, region="us-east-1", service="s3", when=None):
    """The headers that sign a request, with the payload's hash among them."""
    path, _, query = target.partition("?")
    when = when or datetime.datetime.now(datetime.timezone.utc)
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical_query = "&".join(
        urllib.parse.quote(name, safe="-_.~") + "=" + urllib.parse.quote(value, safe="-_.~") for name, value in pairs
    )
    canonical = "\n".join(
        [method, path, canonical_query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, payload]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = signature_v4(secret_key, stamp[:8], region, service, text)
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


# ---- test cases ------------------------------------------------------------------------------------------


class SystemTest(unittest.TestCase):
    """A test with a folder of its own, that goes with it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="utapi-system-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def server(self, *flags, **options):
        """A server that the caller ends; best in a with statement."""
        return Server(self.folder, *flags, **options)

    def running_server(self, *flags, **options):
        """A server that is stopped, and must stop cleanly, when the test is over."""
        server = self.server(*flags, **options)
        self.addCleanup(server.stop)
        return server

    def skip_or_fail(self, reason):
        if os.environ.get("UTAPI_CI") == "1":
            self.fail(f"may not be skipped in CI: {reason}")
        self.skipTest(reason)


def main():
    """As unittest.main(), but a run of which everything was skipped exits with 77, which CTest knows."""
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)
