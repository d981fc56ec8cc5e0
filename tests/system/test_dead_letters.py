# SPDX-License-Identifier: Apache-2.0
"""Events beyond a limit: answered 200, kept once, through kill -9 too, with and without a journal; shown, pushed again
once, acknowledged, by HTTP and by utapictl."""

import http.client
import json
import random
import subprocess
import threading
import time

from harness import UTAPICTL, SystemTest, main, now_ms, put_object, range_around

EARLY = 1000  # in 1970
ROUNDS = 6
JOURNAL = {"UTAPI_JOURNAL": "true"}
KINDS = ({}, JOURNAL)


class DeadLetters(SystemTest):
    def ask(self, server, target, question=None):
        method, body = ("GET", b"") if question is None else ("POST", json.dumps(question).encode())
        status, answer = server.request(method, target, body)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def letters(self, server):
        return self.ask(server, "/_/dead-letters")["letters"]

    def ctl(self, server, *words):
        run = subprocess.run([UTAPICTL, *words, "-p", str(server.port)], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def await_storage(self, server, bucket, expected):
        deadline = time.monotonic() + 30
        while server.storage("buckets", bucket) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(server.storage("buckets", bucket), expected)

    def test_each_limit_has_its_reason(self):
        env = {"UTAPI_MAX_LATENESS": "3600", "UTAPI_MAX_NEW_RESOURCES": "2", "UTAPI_MAX_AMOUNT": "1000"}
        for kind in KINDS:
            with self.subTest(kind=kind), self.server(env={**env, **kind}) as server:
                when = now_ms()
                events = [
                    put_object("b", 1, when), put_object("b", 2, EARLY), put_object("b", 4, when - 3_700_000),
                    put_object("b", 1001, when), put_object("another", 8, when),
                ]  # fmt: skip
                self.assertEqual(server.push(events), 200)
                shown = self.letters(server)
                self.assertEqual([letter["reason"] for letter in shown], ["early", "late", "amount", "newResource"])
                for letter, event in zip(shown, events[1:]):
                    self.assertEqual({name: letter[name] for name in event}, event)
                    self.assertEqual(letter["source"], "127.0.0.1")
                    self.assertLess(abs(letter["keptAt"] - when), 60_000)
                self.await_storage(server, "b", 1)
                self.assertEqual(server.push(events), 200)  # the client repeats: nothing changes
                self.assertEqual(self.letters(server), shown)
                health = self.ask(server, "/_/healthcheck")
                self.assertEqual(health["status"], "degraded")
                self.assertIn("4 events were accepted and not counted", health["trouble"])
                self.assertIn("refused: events from 127.0.0.1: late: 1 became dead letters", server.log())
                ids = [letter["id"] for letter in shown]
                answer = self.ask(server, "/_/dead-letters/push", {"ids": ids[:3]})
                self.assertEqual(answer, {"pushed": 3, "left": 1})
                self.assertEqual(self.ask(server, "/_/dead-letters/push", {"ids": ids[:3]}), {"pushed": 0, "left": 1})
                self.await_storage(server, "b", 1 + 2 + 4 + 1001)
                answer = server.list("buckets", ["b"], range_around(EARLY + 1_000_000))[0]
                self.assertEqual(answer["storageUtilized"][1], 2)  # at its own time
                self.assertEqual(self.ask(server, "/_/dead-letters/acknowledge", {"all": True}), {"acknowledged": 1, "left": 0})
                self.assertEqual(self.ask(server, "/_/healthcheck").get("status", "ok"), "ok")
                self.assertEqual(server.push(events), 200)
                self.await_storage(server, "b", 1 + 2 + 4 + 1001)
            self.folder += "x"  # the next one begins with nothing
            self.addCleanup(subprocess.run, ["rm", "-rf", self.folder], check=False)

    def test_utapictl_lists_pushes_and_acknowledges(self):
        with self.server() as server:
            self.assertIn("there is no dead letter", self.ctl(server, "dead-letters"))
            self.assertEqual(server.push([put_object("b", 2**n, EARLY) for n in range(5)]), 200)
            first, second = (letter["id"] for letter in self.letters(server)[:2])
            table = self.ctl(server, "dead-letters", "list")
            for word in ("1970-01-01", "putObject", "early", "older than limits.earliest", "127.0.0.1", first):
                self.assertIn(word, table)
            self.assertEqual(len(json.loads(self.ctl(server, "dead-letters", "list", "--json"))["letters"]), 5)
            self.assertIn("2 events were pushed, 3 left", self.ctl(server, "dead-letters", "push", first, second))
            self.assertIn("0 events were pushed, 3 left", self.ctl(server, "dead-letters", "push", first, second))
            third = self.letters(server)[0]
            line = self.ctl(server, "dead-letters", "acknowledge", third["id"])
            self.assertEqual(json.loads(line), third)
            self.assertIn("2 events were pushed, 0 left", self.ctl(server, "dead-letters", "push", "--all"))
            self.assertEqual(server.storage("buckets", "b"), 1 + 2 + 8 + 16)
            with open(f"{self.folder}/line", "w", encoding="utf-8") as file:
                file.write(line)
            self.ctl(server, "push", "--quiet", f"{self.folder}/line")  # it is a letter again
            self.assertEqual(self.letters(server)[0]["uuid"], third["uuid"])
            lines = self.ctl(server, "journal", "--acknowledge").splitlines()  # the older word
            self.assertEqual([json.loads(line)["uuid"] for line in lines], [third["uuid"]])
            self.assertEqual(self.ctl(server, "dead-letters", "acknowledge", "--all"), "")
            for wrong in (["dead-letters", "pull"], ["dead-letters", "push"], ["dead-letters", "push", "--all", first],
                          ["dead-letters", "list", first]):  # fmt: skip
                run = subprocess.run([UTAPICTL, *wrong, "-p", str(server.port)], capture_output=True, check=False)
                self.assertEqual(run.returncode, 2, wrong)

    def test_beyond_the_bound_events_are_counted_by_reason_and_source(self):
        env = {"UTAPI_MAX_DEAD_LETTERS": "3"}
        with self.server(env=env) as server:
            events = [put_object("b", 1, EARLY) for _ in range(5)]
            self.assertEqual(server.push(events), 200)
            self.assertEqual(server.push(events), 200)
            answer = self.ask(server, "/_/dead-letters")
            self.assertEqual((answer["kept"], len(answer["letters"])), (3, 3))
            self.assertEqual(answer["dropped"], [{"reason": "early", "source": "127.0.0.1", "count": 2}])
        with self.server(env=env) as server:
            self.assertEqual(self.ask(server, "/_/dead-letters"), answer)

    def flow(self, server, counts, seed):
        """Pushes and has pushed again until the server is gone. Counts events that were acknowledged, by number."""
        chance = random.Random(seed)
        try:
            while True:
                events = [put_object("b", 1, chance.choice((EARLY, now_ms()))) for _ in range(chance.randrange(1, 20))]
                counts["doubt"].append(events)
                if server.push(events) != 200:
                    return
                counts["doubt"].remove(events)
                counts["sent"] += len(events)
                if chance.random() < 0.5:
                    ids = [letter["id"] for letter in self.letters(server)]
                    self.ask(server, "/_/dead-letters/push", {"ids": chance.sample(ids, len(ids) // 2)})
        except (OSError, http.client.HTTPException):
            return

    def test_kill_9_loses_no_letter_and_pushes_none_twice(self):
        for kind in KINDS:
            counts = {"sent": 0, "doubt": []}
            with self.subTest(kind=kind):
                for number in range(ROUNDS):
                    with self.server(env=kind) as server:
                        threads = [threading.Thread(target=self.flow, args=(server, counts, f"{number} {i}")) for i in range(3)]
                        for thread in threads:
                            thread.start()
                        time.sleep(random.Random(number).random() * 1.2)
                        server.process.kill()
                        server.process.wait()
                        for thread in threads:
                            thread.join()
                        server.stop = lambda: 0  # it was killed
                    with self.server(env=kind) as server:  # who got no answer repeats
                        for events in counts["doubt"]:
                            self.assertEqual(server.push(events), 200)
                            counts["sent"] += len(events)
                        counts["doubt"] = []
                        kept = self.ask(server, "/_/dead-letters")["kept"]
                        self.await_storage(server, "b", counts["sent"] - kept)
                with self.server(env=kind) as server:
                    while self.ask(server, "/_/dead-letters/push", {"all": True})["pushed"] > 0:
                        pass
                    self.await_storage(server, "b", counts["sent"])
                self.assertGreater(counts["sent"], 100)
            self.folder += "x"
            self.addCleanup(subprocess.run, ["rm", "-rf", self.folder], check=False)


if __name__ == "__main__":
    main()
