# SPDX-License-Identifier: Apache-2.0
"""A server that answers each POST with the next word of its arguments, and prints its port first.

A number is a status (503 asks to come back after a second); "drop" closes the connection without an answer; "slow" is
200 after a second. With --port it listens there.
"""
import http.server
import sys
import time

answers = sys.argv[1:]
port = 0
if answers[0] == "--port":
    port = int(answers[1])
    answers = answers[2:]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = answers.pop(0)
        if answer == "drop":
            self.close_connection = True
            return
        if answer == "slow":
            time.sleep(1)
            answer = "200"
        body = b"" if answer == "200" else b'{"code":"ServiceUnavailable","message":"Reduce your request rate."}'
        self.send_response(int(answer))
        if answer == "503":
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", port), Handler)
print(server.server_port, flush=True)
while answers:
    server.handle_request()
