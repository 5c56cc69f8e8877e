// An app server on @xmpp/client.

import { client, xml } from "@xmpp/client";

import { AppServer, options, version } from "./appserver.mjs";

const o = options();
const xmpp = client({ service: `xmpps://${o.addr}`, domain: "gcm.googleapis.com", username: o.sender, password: o.key });
xmpp.reconnect.stop(); // the end is what we wait for
xmpp.timeout = 30_000; // for each step of the login: a busy machine may need more than 2 s

const send = (message) =>
  xmpp.send(xml("message", { id: "" }, xml("gcm", { xmlns: "google:mobile:data" }, JSON.stringify(message))));
const app = new AppServer("@xmpp/client", version("@xmpp/client"), o, send);
xmpp.on("stanza", (stanza) => {
  if (!stanza.is("message")) return;
  if (stanza.attrs.type === "error") return app.refused(stanza.toString());
  const ack = app.handle(JSON.parse(stanza.getChildText("gcm")));
  if (ack) send(ack);
});
xmpp.on("error", (err) => console.error("error:", err));
xmpp.on("close", () => app.ended());
await xmpp.start();
await app.run();
process.exit(0);
