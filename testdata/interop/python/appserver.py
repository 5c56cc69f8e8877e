"""What the programs in Python have in common: the script that every client plays, and the counting.

The library's part, to log in and to move the messages, stays with the program.
"""

import argparse
import asyncio
import collections
import json
import sys

# Goes both ways in each message: what XML, JSON or both have to escape, and what is not ASCII.
TEXT = "a<b> & \"c\" 'd' \\ é"


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--addr", type=lambda s: s.rsplit(":", 1), help="host:port of the server")
    parser.add_argument("--ca", help="PEM file of the CA to trust")
    parser.add_argument("--sender", help="sender ID")
    parser.add_argument("--key", help="API key")
    parser.add_argument("--token", help="registration token to send to")
    parser.add_argument("--count", type=int, help="messages to send")
    parser.add_argument("--upstream", type=int, help="upstream messages to wait for")
    parser.add_argument("--window", type=int, help="messages in flight")
    parser.add_argument("--receipt", action="store_true", help="ask for a delivery receipt and wait for it")
    options = parser.parse_args()
    options.host, options.port = options.addr[0], int(options.addr[1])
    return options


class AppServer:
    """Plays the script. send(json_text) writes one message."""

    def __init__(self, client, version, options, send):
        self.options = options
        self._send = send
        self._changed = asyncio.Event()  # the library has told something
        self.answers = collections.defaultdict(list)
        self.answered = 0
        self.upstream = collections.Counter()
        self.receipts = collections.defaultdict(list)
        # Whatever was answered or received twice counts in "repeated", and nowhere else.
        self.report = {
            "client": client, "version": version, "sent": 0, "acked": 0, "nack": None, "upstream": 0, "receipt": None,
            "drained": False,  # CONNECTION_DRAINING was seen
            "ended": False,  # the stream's end was seen
            "repeated": 0,
            "errors": 0,  # stanza errors, and text that is not what was sent
        }

    def handle(self, is_error, payload):
        """Takes the JSON that the server sent, and whether its stanza is an error, and acknowledges it."""
        self._changed.set()
        message = json.loads(payload)
        kind = message.get("message_type")
        if is_error:
            log("stanza error for", payload)
            self.report["errors"] += 1
            return
        if kind in ("ack", "nack"):
            self.answers[message["message_id"]].append(message)
            self.answered += 1
            return
        if kind == "control":
            self.report["drained"] = message["control_type"] == "CONNECTION_DRAINING"
            return
        if kind == "receipt":
            self.receipts[message["message_id"]].append(message)
        else:
            self.upstream[message["message_id"]] += 1
            if message["data"].get("text") != TEXT:
                log("not the text that was sent:", payload)
                self.report["errors"] += 1
        self._write({"to": message["from"], "message_id": message["message_id"], "message_type": "ack"})

    def ended(self):
        """Notes that the stream has ended."""
        self.report["ended"] = True
        self._changed.set()

    def _write(self, message):
        self._send(json.dumps(message, ensure_ascii=False))

    def _ask(self, message_id, number, to=None, **more):
        data = {"n": str(number), "text": TEXT}
        self._write({"to": to or self.options.token, "message_id": message_id, "data": data, **more})

    async def _until(self, what, condition):
        while not condition():
            if self.report["ended"]:
                sys.exit(f"the stream ended before {what}: {self.answered} answers, {len(self.upstream)} upstream")
            self._changed.clear()
            await self._changed.wait()

    async def run(self):
        """Plays the script to the end of the stream, which is the server's to bring about, and prints the report."""
        options = self.options
        for i in range(options.count):
            await self._until("all were sent", lambda: self.report["sent"] - self.answered < options.window)
            self.report["sent"] += 1
            self._ask(f"m-{i}", i)
        await self._until("all were answered", lambda: self.answered >= options.count)
        log("all answered")
        self._ask("bogus", "bogus", to="no-such-token")
        await self._until("the bogus token was refused", lambda: "bogus" in self.answers)
        if options.receipt:
            self._ask("receipt", "receipt", delivery_receipt_requested=True)
            await self._until("the receipt was received", lambda: "dr2:receipt" in self.receipts)
        await self._until("all upstream was received", lambda: len(self.upstream) >= options.upstream)
        log("all upstream received")
        # Our acknowledgements are on their way before this: who drains when it arrives has them all.
        self._ask("done", "done")
        while not self.report["ended"]:
            self._changed.clear()
            await self._changed.wait()
        self._count()
        print(json.dumps(self.report), flush=True)

    def _count(self):
        report = self.report
        sent = [self.answers.get(f"m-{i}", []) for i in range(self.options.count)]
        report["acked"] = sum(len(got) == 1 and got[0]["message_type"] == "ack" for got in sent)
        report["upstream"] = sum(n == 1 for n in self.upstream.values())
        seen = [len(got) for got in (*self.answers.values(), *self.receipts.values())]
        report["repeated"] = sum(n - 1 for n in (*seen, *self.upstream.values()))
        if "bogus" in self.answers:
            report["nack"] = self.answers["bogus"][0].get("error")
        for message in self.receipts["dr2:receipt"][:1]:
            if message["data"]["original_message_id"] == "receipt":
                report["receipt"] = message["data"]["message_status"]


def log(*what):
    print(*what, file=sys.stderr, flush=True)
