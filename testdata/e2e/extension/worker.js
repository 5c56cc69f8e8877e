// Reports what chrome.gcm brings, a line of JSON each: the test reads the console, from its first line on.

importScripts("push_messaging.js");

const report = (type, event) => console.log(JSON.stringify({ type, ...event }));

chrome.gcm.onMessage.addListener((message) => report("message", message));
chrome.pushMessaging.onMessage.addListener((message) => report("push", message));
chrome.gcm.onMessagesDeleted.addListener(() => report("deleted"));
chrome.gcm.onSendError.addListener((error) => report("send_error", error));

// send sends messages, one behind the other. Chromium refuses an app's next one while 20 are not acknowledged, and
// nothing tells when it takes it.
async function send(messages) {
  for (const message of messages) {
    for (let taken = false; !taken; ) {
      taken = await chrome.gcm.send(message).then(() => true, (error) => {
        if (error.message !== "Network error occurred.") throw error;
      });
    }
  }
}

report("started");
