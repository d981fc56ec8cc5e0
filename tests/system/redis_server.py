# SPDX-License-Identifier: Apache-2.0
"""Runs redis-server and redis-sentinel as processes, in a folder of their own, and talks to them. Standard library only."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

REDIS_SERVER = shutil.which("redis-server")
REDIS_SENTINEL = shutil.which("redis-sentinel")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(condition, what, timeout_s=60, pause_s=0.02):
    """Waits until condition() is true, and gives its value; tells the last value otherwise."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in {timeout_s} s")
        time.sleep(pause_s)


class RedisError(Exception):
    """An error reply."""


class Client:
    """One connection: words out, reply in. Numbers come as int, texts as str, nothing as None."""

    encoding = "utf-8"  # of texts in replies; latin-1 for bytes of any kind

    def __init__(self, address, timeout_s=10):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts += [f"${len(data)}\r\n".encode(), data, b"\r\n"]
        self.socket.sendall(b"".join(parts))
        return self._read()

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RedisError(text)
        if kind == b"+":
            return text
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == "-1" else self.file.read(int(text) + 2)[:-2].decode(self.encoding, "replace")
        return None if text == "-1" else [self._read() for _ in range(int(text))]


class Process:
    """A server of Redis's making, that can be killed, stopped for a while and started again at the same address."""

    def __init__(self, folder, program, name, settings, password=None):
        self.password = password
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.log_path = os.path.join(self.folder, "log")
        self.config_path = os.path.join(self.folder, "config")
        self.program = program
        self.process = None
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write("\n".join([*settings, f"dir {self.folder}", f"logfile {self.log_path}", ""]))

    def stop(self):
        """SIGTERM: all that it took is in its file."""
        self.process.terminate()
        self.process.wait()
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.program, self.config_path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_for(self.is_ready, f"{self.program} in {self.folder}")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.program} ended with {self.process.returncode}: see {self.log_path}")
        try:
            return self.command("PING") == "PONG"
        except (OSError, RedisError):
            return False

    def kill(self):
        """kill -9; nothing happens if it is not running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words):
        with contextlib.closing(Client(self.address)) as client:
            if self.password is not None:
                client.ask("AUTH", self.password)
            return client.ask(*words)


class Redis(Process):
    """A redis-server: on a Unix socket, or on a free port of the loopback where `tcp` is asked for."""

    def __init__(self, folder, *settings, name="redis", tcp=False, durable="always", password=None):
        self.port = free_port() if tcp else 0
        self.socket_path = os.path.join(folder, name, "socket")
        self.address = ("127.0.0.1", self.port) if tcp else self.socket_path
        self.uri = f"redis://127.0.0.1:{self.port}" if tcp else f"redis+unix://{self.socket_path}"
        where = ["bind 127.0.0.1", f"port {self.port}"] if tcp else ["port 0", f"unixsocket {self.socket_path}"]
        kept = ["appendonly yes", f"appendfsync {durable}"] if durable else ["appendonly no"]
        kept += [f"requirepass {password}"] if password else []
        super().__init__(folder, REDIS_SERVER, name, [*where, 'save ""', *kept, *settings], password)

    def append_only_file(self):
        """The path of the file that new commands go to: while Redis writes its file anew there may be two, numbered."""
        folder = os.path.join(self.folder, "appendonlydir")
        names = [name for name in os.listdir(folder) if name.endswith(".incr.aof")]
        return os.path.join(folder, max(names, key=lambda name: int(name.split(".")[-3])))

    def cut_within_a_transaction(self):
        """Cuts the file as a crash may: within the second command of its last transaction. Redis 7.0 drops that command, but
        leaves the first one: it is carried out, together with the next transaction, when the file is loaded once more."""
        path = self.append_only_file()
        with open(path, "rb") as file:
            content = file.read()
        begin = content.rindex(b"MULTI\r\n")
        second = content.index(b"\r\n*", content.index(b"\r\n*", begin) + 2)
        os.truncate(path, second + 8)

    def wait_for_rewrite(self):
        """Until Redis writes no file anew: meanwhile it has two, and a cut in the older one keeps it from starting."""
        wait_for(lambda: "aof_rewrite_in_progress:0" in self.command("INFO", "persistence"), "the file")

    def rewrites(self):
        """How often it wrote its file anew since it was started."""
        return int(self.command("INFO", "persistence").split("aof_rewrites:")[1].split()[0])

    def counter(self, level, name, metric):
        """A running state of V1's key space."""
        return int(self.command("GET", f"s3:{level}:{name}:{metric}:counter") or 0)

    def newest_state(self, level, name, metric):
        """The value in the member that a Node server takes for the newest state."""
        members = self.command("ZREVRANGE", f"s3:{level}:{name}:{metric}", 0, 0)
        return int(members[0].split(":")[0]) if members else 0


class Sentinel(Process):
    """A redis-sentinel that watches one master."""

    def __init__(self, folder, master, name, master_name="utapi", quorum=2):
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.master_name = master_name
        settings = [
            "bind 127.0.0.1", f"port {self.port}",
            f"sentinel monitor {master_name} 127.0.0.1 {master.port} {quorum}",
            f"sentinel down-after-milliseconds {master_name} 500",
            f"sentinel failover-timeout {master_name} 4000",
        ]  # fmt: skip
        super().__init__(folder, REDIS_SENTINEL, name, settings)

    def master_port(self):
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.master_name)[1])

    def knows(self, replicas, sentinels):
        """Whether it has found so many replicas, and so many other Sentinels."""
        fields = self.command("SENTINEL", "MASTER", self.master_name)
        facts = dict(zip(fields[::2], fields[1::2]))
        return int(facts["num-slaves"]) >= replicas and int(facts["num-other-sentinels"]) >= sentinels
