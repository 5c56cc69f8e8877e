// An app server on node-xcs, which acknowledges by itself.

import xcs from "node-xcs";

import { AppServer, options, version } from "./appserver.mjs";

const o = options();
const { Constants, Message, Sender } = xcs;
[Constants.FCM_SEND_ENDPOINT, Constants.FCM_SEND_PRODUCTION_PORT] = o.addr.split(":");
const sender = new Sender(o.sender, o.key);
sender.client.timeout = 30_000; // for each step of the login: a busy machine may need more than 2 s

const app = new AppServer("node-xcs", version("node-xcs"), o, (m) => {
  const message = new Message(m.message_id).deliveryReceiptRequested(Boolean(m.delivery_receipt_requested));
  for (const [k, v] of Object.entries(m.data)) message.addData(k, v);
  sender.sendNoRetry(message.build(), m.to, (r) =>
    app.handle({ message_type: r.getMessageType(), message_id: r.getMessageId(), error: r.getError() }));
});
sender.on("message", (message_id, from, data) => app.handle({ message_id, from, data }));
sender.on("receipt", (message_id, from, data) => app.handle({ message_type: "receipt", message_id, from, data }));
sender.on("message-error", (text) => app.refused(text));
sender.on("error", (err) => console.error("error:", err));
// When it is told to drain, the library queues what it is to send until it is connected again; no event says so.
// It asks for that connection without saying where to, which rejects a promise that nobody holds.
sender.client.on("close", () => {
  if (sender.draining) app.drained();
  app.ended();
});
process.on("unhandledRejection", (err) => console.error("unhandled:", err.message));

const online = new Promise((resolve) => sender.on("connected", resolve));
try {
  sender.start();
} catch (err) {
  // It has launched by now. What is missing is a method of the socket.
  console.error("start:", err.message);
}
await online;
await app.run();
process.exit(0);
