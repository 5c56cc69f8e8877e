// chrome.pushMessaging over chrome.gcm, for apps that were written for GCM for Chrome (2012 to 2014).
//
// Paste this file into the extension, and load it before the code that uses chrome.pushMessaging:
//
//   importScripts("push_messaging.js");
//   chrome.pushMessaging.configure({
//     server: "https://push.example.org:8443",    // of ccs; in the manifest: "host_permissions": ["https://push.example.org/*"]
//     sender: "123456789012",                     // the project that has the app: ccs project apps add
//     userToken: async (interactive) => "ya29.…", // an access token of the user, or "" if nobody is signed in
//   });
//   chrome.pushMessaging.getChannelId(false, ({channelId}) => …);
//   chrome.pushMessaging.onMessage.addListener(({payload, subchannelId}) => …);
//
// The manifest needs the permissions "gcm" and "storage". The browser must use the server for its GCM, as the page about
// Chromium describes. The listener must be added when the worker starts: a message may be what starts it.
//
// The user's access token is that of a refresh token from: ccs project oauth create --user NUMBER.
"use strict";

(() => {
  const keep = 30 * 24 * 60 * 60 * 1000; // how long a channel ID is remembered, as in Chromium
  const prefix = "pushMessaging/"; // of the collapse keys of messages to channels
  const listeners = new Set();
  let options = null;

  // answer gives the result of a promise to a callback, if there is one. The old API left an error in
  // chrome.runtime.lastError, which only the browser can set: here it is a member of the result.
  const answer = (promise, callback) => {
    if (!callback) return promise;
    promise.then(callback, (error) => callback({ channelId: "", error: error.message }));
  };

  async function call(path, init) {
    const response = await fetch(options.server + "/gcm_for_chrome/v1/" + path, init);
    const body = await response.json();
    if (!response.ok) throw new Error(body.error.message);
    return body;
  }

  async function getChannelId(interactive) {
    if (!options) throw new Error("chrome.pushMessaging.configure was not called.");
    const kept = (await chrome.storage.local.get("pushMessaging")).pushMessaging;
    if (kept && kept.server === options.server && kept.sender === options.sender && Date.now() - kept.since < keep) {
      return { channelId: kept.channelId };
    }
    const token = await options.userToken(interactive);
    if (!token) throw new Error("The user is not signed in.");
    const { id } = await call("channels/id", { headers: { Authorization: "Bearer " + token } });
    // The registration lets the browser accept messages from the project, and it shows the server which device this is.
    const registration = await chrome.gcm.register([options.sender]);
    const { channelId } = await call("channels", {
      method: "POST",
      body: new URLSearchParams({ user: id, app: chrome.runtime.id, interactive: String(interactive), token: registration }),
    });
    const { server, sender } = options;
    await chrome.storage.local.set({ pushMessaging: { server, sender, channelId, since: Date.now() } });
    return { channelId };
  }

  chrome.gcm.onMessage.addListener((message) => {
    if (!message.collapseKey || !message.collapseKey.startsWith(prefix)) return;
    const event = { payload: message.data.payload, subchannelId: Number(message.data.subchannelId) };
    for (const listener of listeners) listener(event);
  });

  chrome.pushMessaging = {
    configure: (o) => { options = o; },

    // getChannelId(interactive, callback); interactive may be left out, and so may callback, for a promise.
    getChannelId: (interactive, callback) => {
      if (typeof interactive === "function") [interactive, callback] = [false, interactive];
      return answer(getChannelId(Boolean(interactive)), callback);
    },

    onMessage: {
      addListener: (listener) => { listeners.add(listener); },
      removeListener: (listener) => { listeners.delete(listener); },
      hasListener: (listener) => listeners.has(listener),
      hasListeners: () => listeners.size > 0,
    },
  };
})();
