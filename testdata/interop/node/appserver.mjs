// What the programs in JavaScript have in common: the script that every client plays, and the counting. The
// library's part, to log in and to move the messages, stays with the program.

import { once, EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// Goes both ways in each message: what XML, JSON or both have to escape, and what is not ASCII.
const text = "a<b> & \"c\" 'd' \\ é";

export function options() {
  const string = { type: "string" };
  const { values: o } = parseArgs({
    options: {
      addr: string, // host:port of the server
      ca: string, // PEM file of the CA; Node trusts it through NODE_EXTRA_CA_CERTS
      sender: string, // sender ID
      key: string, // API key
      token: string, // registration token to send to
      count: string, // messages to send
      upstream: string, // upstream messages to wait for
      window: string, // messages in flight
      receipt: { type: "boolean", default: false }, // ask for a delivery receipt and wait for it
    },
  });
  for (const k of ["count", "upstream", "window"]) o[k] = Number(o[k]);
  return o;
}

export const version = (name) => createRequire(import.meta.url)(`${name}/package.json`).version;

// AppServer plays the script. send(message) writes one message, or an acknowledgement.
export class AppServer {
  #changed = new EventEmitter().setMaxListeners(0); // the library has told something
  answers = new Map();
  receipts = new Map();
  upstream = new Map();
  answered = 0;

  constructor(client, version, options, send) {
    this.options = options;
    this.send = send;
    // Whatever was answered or received twice counts in repeated, and nowhere else.
    this.report = {
      client, version, sent: 0, acked: 0, nack: null, upstream: 0, receipt: null,
      drained: false, // CONNECTION_DRAINING was seen
      ended: false, // the stream's end was seen
      repeated: 0,
      errors: 0, // stanza errors, and text that is not what was sent
    };
  }

  // handle takes what the server sent. It returns the acknowledgement to send, undefined for none.
  handle(message) {
    this.#changed.emit("change");
    const { message_type: type, message_id: id } = message;
    switch (type) {
      case "ack":
      case "nack":
        this.answered++;
        push(this.answers, id, message);
        return;
      case "control":
        this.report.drained = message.control_type === "CONNECTION_DRAINING";
        return;
      case "receipt":
        push(this.receipts, id, message);
        break;
      default:
        push(this.upstream, id, message);
        if (message.data.text !== text) this.refused(JSON.stringify(message));
    }
    return { to: message.from, message_id: id, message_type: "ack" };
  }

  // refused counts a stanza error.
  refused(what) {
    console.error("error:", what);
    this.report.errors++;
    this.#changed.emit("change");
  }

  // drained is for a library that keeps the control message to itself.
  drained() {
    this.report.drained = true;
    this.#changed.emit("change");
  }

  // ended notes that the stream has ended.
  ended() {
    this.report.ended = true;
    this.#changed.emit("change");
  }

  async #until(what, condition) {
    while (!condition()) {
      if (this.report.ended) {
        throw new Error(`the stream ended before ${what}: ${this.answered} answers, ${this.upstream.size} upstream`);
      }
      await once(this.#changed, "change");
    }
    if (what) console.error(what);
  }

  #ask(message_id, n, more = {}) {
    this.send({ to: this.options.token, message_id, data: { n: String(n), text }, ...more });
  }

  // run plays the script to the end of the stream, which is the server's to bring about, and prints the report.
  async run() {
    const { count, window, upstream, receipt } = this.options;
    while (this.report.sent < count) {
      await this.#until("", () => this.report.sent - this.answered < window);
      this.#ask(`m-${this.report.sent}`, this.report.sent);
      this.report.sent++;
    }
    await this.#until("all answered", () => this.answered >= count);
    this.#ask("bogus", "bogus", { to: "no-such-token" });
    await this.#until("bogus token refused", () => this.answers.has("bogus"));
    if (receipt) {
      this.#ask("receipt", "receipt", { delivery_receipt_requested: true });
      await this.#until("receipt received", () => this.receipts.has("dr2:receipt"));
    }
    await this.#until("all upstream received", () => this.upstream.size >= upstream);
    // Our acknowledgements are on their way before this: who drains when it arrives has them all.
    this.#ask("done", "done");
    while (!this.report.ended) await once(this.#changed, "change");
    this.#count();
    console.log(JSON.stringify(this.report));
  }

  #count() {
    const { report, answers, receipts, upstream } = this;
    for (let i = 0; i < report.sent; i++) {
      const got = answers.get(`m-${i}`) ?? [];
      if (got.length === 1 && got[0].message_type === "ack") report.acked++;
    }
    for (const got of upstream.values()) if (got.length === 1) report.upstream++;
    for (const m of [answers, receipts, upstream]) for (const got of m.values()) report.repeated += got.length - 1;
    report.nack = answers.get("bogus")?.[0].error ?? null;
    const data = receipts.get("dr2:receipt")?.[0].data;
    if (data?.original_message_id === "receipt") report.receipt = data.message_status;
  }
}

const push = (map, key, value) => map.set(key, [...(map.get(key) ?? []), value]);
