// A device on @liamcottle/push-receiver, unmodified. It registers with the sender that it is given and prints what it
// gets, an object of JSON each line, until its standard input ends.

import { createRequire } from "node:module";

const { AndroidFCM, Client } = createRequire(import.meta.url)("@liamcottle/push-receiver");

const [sender] = process.argv.slice(2);
const report = (event, more) => console.log(JSON.stringify({ event, ...more }));
process.stdin.on("end", () => process.exit(0)).resume();

const { gcm, fcm } = await AndroidFCM.register("any key", "any-project", sender, `1:${sender}:android:1`, "com.example.app", "any certificate");
report("registered", { token: fcm.token });

const client = new Client(gcm.androidId, gcm.securityToken, []);
client.on("disconnect", () => report("disconnected"));
client.on("ON_DATA_RECEIVED", (message) => report("message", {
  persistent_id: message.persistentId,
  from: message.from,
  data: Object.fromEntries(message.appData.map(({ key, value }) => [key, value])),
}));
await client.connect();
