# SPDX-License-Identifier: Apache-2.0
"""TLS: certificates made by openssl, clients that are curl, openssl and utapictl, and what is refused with a sentence."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time

from harness import ACCESS_KEY, INTERVAL_MS, SAMPLES, SECRET_KEY, UTAPICTL, UTAPID, SystemTest, interval_of, main, now_ms, put_object
from harness import server_environment
from redis_server import free_port, wait_for


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


class Tls(SystemTest):
    def setUp(self):
        super().setUp()
        if shutil.which("openssl") is None:
            self.skip_or_fail("openssl is not installed")
        self.authority = self.make_certificate("authority", ca=True)
        self.certificate = self.make_certificate("server", signer=self.authority)

    def make_certificate(self, name, signer=None, ca=False, names="DNS:localhost,IP:127.0.0.1"):
        """(certificate, key), for 30 days, signed by another pair or by itself."""
        cert, key = (os.path.join(self.folder, f"{name}.{kind}.pem") for kind in ("cert", "key"))
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-keyout", key, "-out", cert, "-days", "30", "-subj", f"/CN={name}",
                   "-addext", f"subjectAltName={names}"]  # fmt: skip
        command += ["-CA", signer[0], "-CAkey", signer[1]] if signer else []
        command += [] if ca else ["-addext", "basicConstraints=critical,CA:FALSE"]
        made = run(*command)
        self.assertEqual(made.returncode, 0, made.stderr)
        return cert, key

    def variables(self, certificate=None, **more):
        cert, key = certificate or self.certificate
        return {"UTAPI_TLS_CERT": cert, "UTAPI_TLS_KEY": key, "UTAPI_READY_MIN_FREE": "0", **more}

    def curl(self, port, path, *arguments, ca=None):
        return run("curl", "-sS", "--cacert", (ca or self.authority)[0], *arguments, f"https://localhost:{port}{path}")

    def signed(self, port):
        body = json.dumps({"buckets": ["photos"], "timeRange": [interval_of(now_ms()) - INTERVAL_MS]})
        payload = hashlib.sha256(body.encode()).hexdigest()
        return self.curl(port, "/buckets?Action=ListMetrics", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{ACCESS_KEY}:{SECRET_KEY}",
                         "-H", f"x-amz-content-sha256: {payload}", "--data", body)  # fmt: skip

    def utapictl(self, port, *arguments, ca=None):
        return run(UTAPICTL, *arguments, "--server", f"https://localhost:{port}", "--cacert", (ca or self.authority)[0],
                   env=server_environment({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}))  # fmt: skip

    def test_signed_queries_and_events_go_over_tls(self):
        with self.server(env=self.variables()) as server:
            self.assertIn(f"utapid: listening on https://127.0.0.1:{server.port}\n", server.log())
            pushed = self.curl(server.port, "/v2/ingest", "--data", json.dumps([put_object("photos", 1000)]))
            self.assertEqual((pushed.returncode, pushed.stdout), (0, ""), pushed.stderr)
            listed = self.signed(server.port)
            self.assertEqual(json.loads(listed.stdout)[0]["storageUtilized"][1], 1000, listed.stderr)
            pushed = self.utapictl(server.port, "push", os.path.join(SAMPLES, "cloudserver-v2-ingest.ndjson"))
            self.assertEqual((pushed.returncode, pushed.stdout), (0, "90 events accepted\n"), pushed.stderr)
            shown = self.utapictl(server.port, "list", "--buckets", "photos", "--recent", "--json")
            self.assertEqual(json.loads(shown.stdout)[0]["numberOfObjects"][1], 1, shown.stderr)
            by_variable = run(UTAPICTL, "status", "--cacert", self.authority[0],
                              env=server_environment({"UTAPICTL_SERVER": f"https://localhost:{server.port}/"}))  # fmt: skip
            self.assertEqual(by_variable.returncode, 0, by_variable.stderr)
            scraped = self.curl(server.port, "/_/metrics").stdout
            until = float(re.search(r"^utapi_certificate_expiry_timestamp_seconds (\d+)$", scraped, re.M).group(1))
            self.assertAlmostEqual(until - time.time(), 30 * 86400, delta=3600)

    def test_large_bodies_and_answers_go_over_tls(self):
        with self.server(env=self.variables()) as server:
            path = os.path.join(self.folder, "events")
            with open(path, "w", encoding="utf-8") as file:
                json.dump([put_object(f"bucket-{number}", 1) for number in range(5000)], file)
            pushed = self.curl(server.port, "/v2/ingest", "--data", f"@{path}")
            self.assertEqual((pushed.returncode, pushed.stdout), (0, ""), pushed.stderr)
            listed = self.utapictl(server.port, "list", "--buckets", ",".join(f"bucket-{n}" for n in range(3000)), "--recent", "--json")
            self.assertEqual({one["numberOfObjects"][1] for one in json.loads(listed.stdout)}, {1}, listed.stderr)

    def test_tls_1_2_and_1_3_alone_with_forward_secrecy(self):
        def spoken(port, *arguments):
            tried = run("openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", self.authority[0], *arguments, input="")
            found = re.search(r"^New, (TLSv1\.\d), Cipher is (\S+)$", tried.stdout, re.M)
            return found and found.groups()

        with self.server(env=self.variables()) as server:
            for version in ("-tls1", "-tls1_1"):
                self.assertIsNone(spoken(server.port, version, "-cipher", "ALL:@SECLEVEL=0"))
            for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"):
                self.assertIsNone(spoken(server.port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"))
            self.assertEqual(spoken(server.port, "-tls1_2")[0], "TLSv1.2")
            self.assertRegex(spoken(server.port, "-tls1_2")[1], "^ECDHE-")
            self.assertEqual(spoken(server.port, "-tls1_3")[0], "TLSv1.3")

    def test_who_is_not_trusted_is_told(self):
        other = self.make_certificate("other", ca=True)
        with self.server(env=self.variables()) as server:
            self.assertNotEqual(self.curl(server.port, "/_/healthcheck", ca=other).returncode, 0)
            refused = self.utapictl(server.port, "status", ca=other)
            self.assertEqual(refused.returncode, 5)
            self.assertRegex(refused.stderr, "certificate")
            with self.assertRaises((ConnectionError, http.client.HTTPException)):  # plain HTTP on a port that speaks TLS
                server.request("GET", "/_/healthcheck")

    def test_both_ports_at_once(self):
        with self.server(env=self.variables(UTAPI_TLS_PORT=str(free_port()))) as server:
            tls_port = int(re.search(r"^utapid: listening on https://127\.0\.0\.1:(\d+)$", server.log(), re.M).group(1))
            self.assertEqual(server.push([put_object("photos", 5)]), 200)
            self.assertEqual(json.loads(self.signed(tls_port).stdout)[0]["storageUtilized"][1], 5)

    def test_what_the_file_names_can_be_switched_off(self):
        with self.server(env=self.variables(UTAPI_TLS="false")) as server:
            self.assertEqual(server.push([put_object("photos", 5)]), 200)
            self.assertIn("tls.enabled is false", server.log())

    def test_clients_need_a_certificate_where_that_is_asked_for(self):
        clients = self.make_certificate("clients", ca=True)
        known, stranger = self.make_certificate("known", signer=clients), self.make_certificate("stranger")
        with self.server(env=self.variables(UTAPI_TLS_CLIENT_CA=clients[0])) as server:
            shown = self.curl(server.port, "/_/healthcheck", "--cert", known[0], "--key", known[1])
            self.assertEqual(shown.stdout, "{}", shown.stderr)
            for arguments in ((), ("--cert", stranger[0], "--key", stranger[1])):
                refused = self.curl(server.port, "/_/healthcheck", *arguments)
                self.assertNotEqual(refused.stdout, "{}", arguments)
            self.assertEqual(self.utapictl(server.port, "status", "--cert", known[0], "--key", known[1]).returncode, 0)
            self.assertIn(self.utapictl(server.port, "status").returncode, (4, 5))

    def test_a_changed_authority_of_clients_wants_a_restart_and_says_so(self):
        first, second = self.make_certificate("first", ca=True), self.make_certificate("second", ca=True)
        known = self.make_certificate("known", signer=first)
        with self.server(env=self.variables(UTAPI_TLS_CLIENT_CA=first[0])) as server:
            os.replace(second[0], first[0])
            wait_for(lambda: "has changed and wants a restart" in server.log(), "a warning")
            self.assertEqual(self.curl(server.port, "/_/healthcheck", "--cert", known[0], "--key", known[1]).stdout, "{}")

    def test_one_that_ends_soon_is_told_of(self):
        clock = os.environ.get("TEST_CLOCK_LIBRARY")
        if not clock:
            self.skip_or_fail("there is no library for the clock")
        sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        at = {"LD_PRELOAD": clock, "TEST_CLOCK_MS": str(now_ms() + 25 * 86_400_000 - 3_600_000), "ASAN_OPTIONS": sanitizer}
        with self.server(env=self.variables(**at)) as server:
            wait_for(lambda: "the certificate ends in 5 days" in server.log(), "a warning")
            shown = self.utapictl(server.port, "status")
            self.assertRegex(shown.stdout, r"certificate +ends in \d+ d\n")

    def test_ipv6(self):
        with self.server("--bind", "::1", env=self.variables(self.make_certificate("six", signer=self.authority, names="IP:::1"))) as server:
            asked = run("curl", "-sS", "--cacert", self.authority[0], f"https://[::1]:{server.port}/_/healthcheck")
            self.assertEqual(asked.stdout, "{}", asked.stderr)
            shown = run(UTAPICTL, "status", "--server", f"https://[::1]:{server.port}", "--cacert", self.authority[0], env=server_environment())
            self.assertEqual(shown.returncode, 0, shown.stderr)

    def test_utapictl_says_what_is_wrong_with_its_command_line(self):
        for arguments, words in ((["--server", "ftp://localhost"], "expected a URL"), (["--server", "https://localhost/x"], "expected a URL"),
                                 (["--server", "https://localhost", "-p", "1"], "leave --host and --port out")):  # fmt: skip
            ran = run(UTAPICTL, "status", *arguments, env=server_environment())
            self.assertEqual((ran.returncode, ran.stdout), (2, ""), ran.stderr)
            self.assertIn(words, ran.stderr)
            self.assertEqual(len(ran.stderr.splitlines()), 1)
        with self.server(env=self.variables()) as server:
            ran = self.utapictl(server.port, "status", ca=("/none",))
            self.assertEqual(ran.returncode, 2, ran.stderr)
            self.assertIn("/none", ran.stderr)

    def test_both_ports_stop_at_once(self):
        with self.server(env=self.variables(UTAPI_TLS_PORT=str(free_port()), UTAPI_REQUEST_TIMEOUT="3")) as server:
            tls_port = int(re.search(r"^utapid: listening on https://127\.0\.0\.1:(\d+)$", server.log(), re.M).group(1))
            with contextlib.closing(server.connect()) as half:
                half.putrequest("POST", "/v2/ingest")
                half.putheader("content-length", "10")
                half.endheaders(b"[")
                wait_for(lambda: self.curl(tls_port, "/_/healthcheck").stdout == "{}", "an answer")
                server.terminate()
                wait_for(lambda: self.curl(tls_port, "/_/healthcheck").returncode != 0, "a port that is closed", timeout_s=2)
            server.process.wait(60)

    def test_what_cannot_be_used_is_refused_at_start(self):
        def start(*arguments, **variables):
            ran = run(UTAPID, "--port", "0", "--data", os.path.join(self.folder, "none"), "--no-auth", *arguments, env=server_environment(variables))
            self.assertEqual(ran.returncode, 1)
            return ran.stderr

        other, (cert, key) = self.make_certificate("other"), self.certificate
        for arguments in ((), ("--check",)):
            self.assertIn("certFilePaths.key: /none: No such file", start(*arguments, **self.variables((cert, "/none"))))
            self.assertRegex(start(*arguments, **self.variables((cert, other[1]))), "certFilePaths.key and certFilePaths.cert: .*match.*: .*server")
            self.assertRegex(start(*arguments, **self.variables((key, key))), "certFilePaths.cert: .*holds no certificate")
            self.assertIn("cert is not set", start(*arguments, UTAPI_TLS_KEY=key))
            self.assertIn("tls.port: there is no TLS", start(*arguments, UTAPI_TLS_PORT="1"))
            self.assertRegex(start(*arguments, **self.variables(UTAPI_TLS_CLIENT_CA=key)), "tls.clientCA: .*holds no certificate")

    def test_one_that_has_ended_or_not_begun_is_refused_at_start(self):
        clock = os.environ.get("TEST_CLOCK_LIBRARY")
        if not clock:
            self.skip_or_fail("there is no library for the clock")
        for days, words in ((-2, "is not valid before 20"), (31, "expired at 20")):
            sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
            at = {"LD_PRELOAD": clock, "TEST_CLOCK_MS": str(now_ms() + days * 86_400_000), "ASAN_OPTIONS": sanitizer}
            ran = run(UTAPID, "--check", env=server_environment({**self.variables(), **at}))
            self.assertEqual(ran.returncode, 1)
            self.assertIn(f"certFilePaths.cert: {self.certificate[0]}: {words}", ran.stderr)

    def test_a_certificate_changes_under_load_and_no_request_fails(self):
        served, failed, serials = [], [], set()
        over = threading.Event()
        context = ssl.create_default_context(cafile=self.authority[0])

        def ask(port):
            while not over.is_set():
                try:
                    with contextlib.closing(http.client.HTTPSConnection("localhost", port, timeout=30, context=context)) as connection:
                        connection.connect()
                        serials.add(connection.sock.getpeercert()["serialNumber"])
                        connection.request("GET", "/_/healthcheck")
                        served.append(connection.getresponse().status)
                except OSError as error:
                    failed.append(error)

        with self.server(env=self.variables()) as server:
            askers = [threading.Thread(target=ask, args=(server.port,)) for _ in range(4)]
            for asker in askers:
                asker.start()
            for number in range(3):
                fresh = self.make_certificate(f"fresh{number}", signer=self.authority)
                for kind in (1, 0):  # key and certificate do not change at once: for a moment they do not match
                    os.replace(fresh[kind], self.certificate[kind])
                wait_for(lambda seen=number: server.log().count("the certificate was read again") > seen, "a new certificate")
                served_before = len(served)
                wait_for(lambda seen=served_before: len(served) > seen + 8, "requests")
            with open(self.certificate[0], "w", encoding="utf-8") as file:
                file.write("nothing")
            wait_for(lambda: "the certificate stays as it was: certFilePaths.cert: " in server.log(), "a complaint")
            served_before = len(served)
            wait_for(lambda: len(served) > served_before + 8, "requests")
            over.set()
            for asker in askers:
                asker.join()
        self.assertEqual(failed, [])
        self.assertEqual(set(served), {200})
        self.assertEqual(len(serials), 4)


if __name__ == "__main__":
    main()
