# SPDX-License-Identifier: Apache-2.0
"""Bad input of every kind: a clear error, nothing stored, and the server lives on (a sanitizer's word would show
in its exit status)."""

import contextlib
import json
import os
import socket

from harness import (
    ACCESS_KEY, CANONICAL_ID, INTERVAL_MS, SECRET_KEY, SystemTest, interval_of, main, now_ms, put_object,
    range_around, signed_headers,
)  # fmt: skip

TOO_BIG = 2**63
NOW = now_ms()


def v2(**fields):
    return {"operationId": "putObject", "bucket": "bad", "timestamp": NOW, **fields}


def v1(action="putObject", **params):
    return {"action": action, "timestamp": NOW, "params": {"bucket": "bad", **params}}


# What breaks a rule of docs/specification.md#events -> what the message must name.
BAD_V2_EVENTS = [
    (5, "events[0]"),
    ("putObject", "events[0]"),
    (None, "events[0]"),
    ([], "events[0]"),
    ({}, "operationId"),
    ({"bucket": "bad"}, "operationId"),
    (v2(operationId=7), "operationId"),
    (v2(operationId=None), "operationId"),
    (v2(uuid=7), "uuid"),
    (v2(uuid="u" * 256), "uuid"),
    (v2(timestamp="now"), "timestamp"),
    (v2(timestamp=-1), "timestamp"),
    (v2(timestamp=1.5), "timestamp"),
    (v2(timestamp=interval_of(NOW) + 4 * INTERVAL_MS), "timestamp"),
    (v2(timestamp=TOO_BIG - 1), "timestamp"),
    (v2(bucket=1), "bucket"),
    (v2(bucket=["bad"]), "bucket"),
    (v2(bucket="b" * 256), "bucket"),
    (v2(bucket="a\0b"), ""),
    (v2(account={}), "account"),
    (v2(account="a" * 256), "account"),
    (v2(user=True), "user"),
    (v2(user="u" * 256), "user"),
    (v2(location=0), "location"),
    (v2(location="é" * 128), "location"),
    (v2(sizeDelta="1"), "sizeDelta"),
    (v2(sizeDelta=0.5), "sizeDelta"),
    (v2(sizeDelta=True), "sizeDelta"),
    (v2(objectDelta=[1]), "objectDelta"),
    (v2(objectDelta=1.0), "objectDelta"),
    (v2(incomingBytes=-1), "incomingBytes"),
    (v2(incomingBytes=1e3), "incomingBytes"),
    (v2(outgoingBytes=-1), "outgoingBytes"),
    (v2(outgoingBytes="many"), "outgoingBytes"),
]

BAD_V1_EVENTS = [
    (5, ""),
    ({}, "action"),
    ({"action": "putObject"}, ""),
    ({"action": 5, "params": {}}, "action"),
    ({"action": "putObject", "params": []}, "params"),
    (v1("inventObject"), "inventObject"),
    (v1("constructor"), "constructor"),
    (v1(), "newByteLength"),
    (v1(newByteLength=1.5, oldByteLength=None), "newByteLength"),
    (v1(newByteLength=-1, oldByteLength=None), "newByteLength"),
    (v1(newByteLength="1", oldByteLength=None), "newByteLength"),
    (v1(newByteLength=1), "oldByteLength"),
    (v1(newByteLength=1, oldByteLength=-1), "oldByteLength"),
    (v1(newByteLength=1, oldByteLength="0"), "oldByteLength"),
    (v1("getObject"), "newByteLength"),
    (v1("completeMultipartUpload"), "oldByteLength"),
    (v1("abortMultipartUpload"), "byteLength"),
    (v1("deleteObject", byteLength=1), "numberOfObjects"),
    (v1("deleteObject", byteLength=-1, numberOfObjects=1), "byteLength"),
    (v1("deleteObject", byteLength=1, numberOfObjects=0.5), "numberOfObjects"),
    (v1("deleteObject", byteLength=1, numberOfObjects=-(2**63)), "numberOfObjects"),
    (v1("multiObjectDelete", numberOfObjects=1), "byteLength"),
    (v1("putDeleteMarkerObject", byteLength="1"), "byteLength"),
    (v1("pushLocationMetric", location="here"), "updateSize"),
    (v1("pushLocationMetric", updateSize=1), "location"),
    (v1(newByteLength=1, oldByteLength=None, bucket=5), "bucket"),
]

# Bodies that are no JSON of ours at all.
BAD_BODIES = [
    b"", b" ", b"{", b"[", b"[}", b"nonsense", b"[1,]", b'["\\ud800"]', b'[{"operationId":"\\u0000"}]',
    b'[{"operationId":"putObject","bucket":"\xff\xfe"}]', b'[{"operationId":"putObject","bucket":"\xc0\xaf"}]',
    b'[{"operationId":"putObject","operationId":"putObject"}]', b"[NaN]", b"[Infinity]", b"[01]", b"[1e999]",
    b'[{"operationId":"putObject","sizeDelta":9223372036854775808}]',
    b'[{"operationId":"putObject","sizeDelta":-9223372036854775809}]',
    b'[{"operationId":"putObject","sizeDelta":1e400}]',
    b"[" * 100000, b'{"a":' * 100000, b"[" * 3000 + b"]" * 3000, b"[] []", b"[]\0", b"\xef\xbb\xbf[]",
]  # fmt: skip

BAD_QUESTIONS = [
    (b"", "InvalidParameterValue"),
    (b"nonsense", "InvalidParameterValue"),
    (b"{}", "WrongFormat"),
    (b'{"timeRange":[0,899999]}', "WrongFormat"),
    (b'{"buckets":"bad","timeRange":[0,899999]}', None),
    (b'{"buckets":[],"timeRange":[0,899999]}', None),
    (b'{"buckets":[1],"timeRange":[0,899999]}', None),
    (b'{"buckets":["bad"]}', None),
    (b'{"buckets":["bad"],"timeRange":[]}', None),
    (b'{"buckets":["bad"],"timeRange":[0,1,2]}', None),
    (b'{"buckets":["bad"],"timeRange":["0","899999"]}', None),
    (b'{"buckets":["bad"],"timeRange":[1,899999]}', "InvalidParameterValue"),
    (b'{"buckets":["bad"],"timeRange":[0,900000]}', "InvalidParameterValue"),
    (b'{"buckets":["bad"],"timeRange":[0.5,899999]}', None),
    (b'{"buckets":["bad"],"timeRange":[900000,899999]}', "InvalidParameterValue"),
    (b'{"buckets":["bad"],"timeRange":[9223372036854775808,1]}', None),
    (b'{"buckets":["bad"],"buckets":["bad"],"timeRange":[0,899999]}', "InvalidParameterValue"),
    (b'{"buckets":["\\ud800"],"timeRange":[0,899999]}', "InvalidParameterValue"),
]

# Requests that are wrong before any handler sees them; an answer of 4xx or a closed connection is right.
BAD_REQUESTS = [
    b"POST /v1/push HTTP/1.1\r\nhost: x\r\ncontent-length : 2\r\n\r\n[]",
    b"POST /v1/push HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    b"POST /v2/ingest HTTP/1.1\r\ncontent-length: 2\r\n\r\n[]",
    b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n[]",
    b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n[]",
    b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n[] ",
    b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
    b"POST /buckets?Action=%zz HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /%ff%fe HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
    b"GET /v2/storage/buckets/%00 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /v2/storage/ HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /v2/storage/nothing/bad HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /nothing?Action=ListMetrics HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /buckets?Action=constructor HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
    b"BREW /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]",
    b"PUT /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]",
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 900) for n in range(100)) + b"\r\n",
]


class BadInput(SystemTest):
    def setUp(self):
        super().setUp()
        self.utapid = self.server()
        self.addCleanup(self.stop_and_see_that_nothing_was_stored)

    def stop_and_see_that_nothing_was_stored(self):
        time_range = [0, interval_of(now_ms()) + 8 * INTERVAL_MS - 1]
        asked = {"service": ["s3"], "buckets": ["bad", "good"], "accounts": [CANONICAL_ID], "users": ["bad"],
                 "locations": ["bad", "here"]}  # fmt: skip
        try:
            for level, names in asked.items():
                for answer in self.utapid.list(level, names, time_range):
                    self.assertEqual(answer["storageUtilized"], [0, 0])
                    self.assertEqual(answer["numberOfObjects"], [0, 0])
                    self.assertEqual((answer["incomingBytes"], answer["outgoingBytes"]), (0, 0))
                    self.assertEqual(sum(answer["operations"].values()), 0)
        finally:
            self.utapid.stop()

    def refused(self, path, body, named, status=400, code="InvalidParameterValue"):
        with self.subTest(path=path, body=body[:200]):
            got, answer = self.utapid.request("POST", path, body, {"Content-Type": "application/json"})
            self.assertEqual(got, status, answer[:300])
            failure = json.loads(answer)
            self.assertEqual(failure["code"], code)
            self.assertIn(named, failure["message"])

    def test_v2_events(self):
        for event, named in BAD_V2_EVENTS:
            self.refused("/v2/ingest", json.dumps([event]).encode(), named)

    def test_v1_events(self):
        for event, named in BAD_V1_EVENTS:
            self.refused("/v1/push", json.dumps([event]).encode(), named)
            self.refused("/v1/push", json.dumps(event).encode(), named)

    def test_one_bad_event_refuses_all_of_the_request_and_is_named(self):
        good = [put_object("good", 1) for _ in range(5)]
        self.refused("/v2/ingest", json.dumps([*good, v2(sizeDelta="x"), *good]).encode(), "events[5].sizeDelta")
        self.refused("/v1/push", json.dumps([v1("createBucket"), v1()]).encode(), "events[1].newByteLength")

    def test_a_v2_body_that_is_no_array(self):
        for body in (b"{}", b"null", b'"x"', b"5", json.dumps(v2()).encode()):
            self.refused("/v2/ingest", body, "")

    def test_bodies_that_are_no_json_of_ours(self):
        for path in ("/v2/ingest", "/v1/push"):
            for body in BAD_BODIES:
                self.refused(path, body, "")

    def test_too_many_events_and_too_many_bytes(self):
        many = json.dumps([v2()] * 10001).encode()
        self.refused("/v2/ingest", many, "", 413, "EntityTooLarge")
        self.assertEqual(self.status_of_a_large_upload(65 * 1024 * 1024), 413)

    def status_of_a_large_upload(self, size):
        """The server may answer, and close, before it has read all."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.utapid.port), 60)) as client:
            client.sendall(f"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode())
            with contextlib.suppress(OSError):
                for _ in range(size // 65536):
                    client.sendall(b" " * 65536)
            return int(client.recv(1000).split(b" ")[1])

    def test_questions(self):
        target = "/buckets?Action=ListMetrics"
        for body, code in BAD_QUESTIONS:
            with self.subTest(body=body):
                host = f"127.0.0.1:{self.utapid.port}"
                headers = signed_headers("POST", host, target, body, ACCESS_KEY, SECRET_KEY)
                status, answer = self.utapid.request("POST", target, body, headers)
                self.assertEqual(status, 400, answer)
                failure = json.loads(answer)
                self.assertTrue(failure["message"])
                self.assertIn(failure["code"], [code] if code else ["InvalidParameterValue", "WrongFormat"])

    def test_signatures(self):
        target = "/buckets?Action=ListMetrics"
        body = json.dumps({"buckets": ["bad"], "timeRange": range_around(NOW)}).encode()
        host = f"127.0.0.1:{self.utapid.port}"
        good = signed_headers("POST", host, target, body, ACCESS_KEY, SECRET_KEY)
        authorization = good["Authorization"]
        hash_of_other_body = signed_headers("POST", host, target, body + b" ", ACCESS_KEY, SECRET_KEY)
        cases = [
            ({}, 400, "InvalidRequest"),
            ({**good, "Authorization": ""}, 400, "InvalidRequest"),
            ({**good, "Authorization": "Basic eDp5"}, 400, "InvalidRequest"),
            ({**good, "Authorization": "AWS4-HMAC-SHA256"}, 400, "InvalidArgument"),
            ({**good, "Authorization": authorization.split("Signature=")[0] + "Signature="}, 400, "InvalidArgument"),
            ({**good, "Authorization": authorization[:-1] + "g"}, 403, "SignatureDoesNotMatch"),
            ({**good, "Authorization": authorization.replace("accessKey1", "accessKey9")}, 403, "InvalidAccessKeyId"),
            ({**good, "Authorization": authorization.replace("/s3/", "/iam/")}, 400, "InvalidArgument"),
            ({**good, "x-amz-date": "20200101T000000Z"}, 403, "RequestTimeTooSkewed"),
            ({**good, "x-amz-date": "soon"}, 403, "AccessDenied"),
            ({**good, "x-amz-extra": "not signed"}, 403, "AccessDenied"),
            ({**good, "x-amz-security-token": "not a token!"}, 400, "InvalidToken"),
            (hash_of_other_body, 400, "XAmzContentSHA256Mismatch"),
        ]
        self.assertEqual(self.utapid.request("POST", target, body, good)[0], 200)
        for headers, status, code in cases:
            with self.subTest(headers=headers):
                got, answer = self.utapid.request("POST", target, body, headers)
                self.assertEqual((got, json.loads(answer)["code"]), (status, code))

    def test_requests_that_are_no_http_of_ours(self):
        for request in BAD_REQUESTS:
            with self.subTest(request=request[:120]):
                answer = self.answer_to(self.send(request))
                if answer:
                    self.assertRegex(answer.decode("latin-1"), r"^HTTP/1\.[01] (4\d\d|501|505) ")

    def send(self, request):
        """A connection on which all of a request was sent."""
        client = socket.create_connection(("127.0.0.1", self.utapid.port), 30)
        self.addCleanup(client.close)
        with contextlib.suppress(OSError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        return client

    def answer_to(self, client):
        """The head of the first answer; nothing if the server closed instead."""
        answer = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in answer and (chunk := client.recv(65536)):
                answer += chunk
        client.close()
        return answer

    def test_random_bytes(self):
        head = b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 200\r\n\r\n"
        clients = [self.send(prefix + os.urandom(200)) for _ in range(50) for prefix in (b"", head)]
        for client in clients:
            self.assertNotIn(b" 200 ", self.answer_to(client)[:20])

    def test_half_requests_that_hang_up(self):
        whole = b"POST /v2/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 200\r\n\r\n" + b"[" * 100
        for length in range(0, len(whole), 3):
            with contextlib.closing(socket.create_connection(("127.0.0.1", self.utapid.port), 30)) as client:
                client.sendall(whole[:length])


if __name__ == "__main__":
    main()
