# SPDX-License-Identifier: Apache-2.0
"""Stands between utapid and a real Redis: loses a script's reply, half of it or the script, or measures every command."""

import contextlib
import hashlib
import re
import socket
import threading

from redis_server import Client

LOST = ("the reply", "half of the reply", "the command")
NAME = re.compile(rb"^-- (\w+)\.lua - ", re.M)


class Proxy:
    """Listens on a free port of the loopback; each connection has one of its own to the Redis behind it."""

    def __init__(self, address):
        self.address = address
        self.lock = threading.Lock()
        self.scripts = {}  # names by digest
        self.until = 0  # so many of these scripts are still let through, and the last is lost; 0: nothing is
        self.script, self.what = "apply", LOST[0]
        self.lost = []  # (what, script, Redis's reply)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def lose(self, nth, script, what=LOST[0]):
        """Of the nth time from now on that this script is run; the connection breaks with it."""
        with self.lock:
            self.until, self.script, self.what = nth, script, what

    def ask(self, server, replies, command):
        """Redis's reply to a command."""
        server.sendall(command)
        return read_value(replies)

    def kind_of(self, command):
        """The script that it runs, or the command's own name."""
        words = command.split(b"\r\n", 5)
        name = words[2].decode().upper()
        if name == "SCRIPT" and words[4].upper() == b"LOAD":
            text = command.split(b"\r\n", 6)[6][:-2]
            self.scripts[hashlib.sha1(text).hexdigest()] = NAME.findall(text)[-1].decode()
        return self.scripts.get(words[4].decode(), name) if name == "EVALSHA" else name

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        """One command after the other, each with its reply: whoever sends many at once waits for the first."""
        server = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        with contextlib.suppress(OSError), client, server:
            server.connect(self.address)
            with client.makefile("rb") as commands, server.makefile("rb") as replies:
                while command := read_value(commands):
                    if not self._pass_on(client, server, replies, command):
                        break
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, client, server, replies, command):
        script = self.kind_of(command)
        what = self._what_is_lost(script)
        reply = self.ask(server, replies, command) if what != "the command" else b""
        if what is None:
            client.sendall(reply)
            return reply != b""
        client.sendall(reply[: len(reply) // 2] if what == "half of the reply" else b"")
        with self.lock:
            self.lost.append((what, script, reply))
        return False

    def _what_is_lost(self, script):
        with self.lock:
            if self.until == 0 or script != self.script:
                return None
            self.until -= 1
            return self.what if self.until == 0 else None


class Watcher(Proxy):
    """Lets one command at a time into Redis, and notes what its thread worked for it, in milliseconds.

    That is processor time: what else the machine does meanwhile is not in it, as it is in SLOWLOG's times.
    """

    def __init__(self, address):
        self.own = Client(address)
        self.one = threading.Lock()
        self.work = {}  # times by kind
        super().__init__(address)

    def close(self):
        super().close()
        with self.one:
            self.own.close()

    def forget(self):
        with self.one:
            self.work = {}

    def ask(self, server, replies, command):
        with self.one:
            before_ms = self._worked_ms()
            reply = super().ask(server, replies, command)
            self.work.setdefault(self.kind_of(command), []).append(self._worked_ms() - before_ms)
        return reply

    def _worked_ms(self):
        facts = dict(line.split(":") for line in self.own.ask("INFO", "cpu").split("\r\n") if ":" in line)
        return 1000 * sum(float(facts[f"used_cpu_{kind}_main_thread"]) for kind in ("user", "sys"))


def read_value(file):
    """The bytes of one command or reply; nothing at the end of the connection."""
    line = file.readline()
    if not line.endswith(b"\r\n"):
        return b""
    parts, number = [line], int(line[1:]) if line[:1] in b"$*" else 0
    if line[:1] == b"$" and number >= 0:
        parts.append(file.read(number + 2))
    for _ in range(number if line[:1] == b"*" else 0):
        parts.append(read_value(file))
    return b"".join(parts)
