"""An app server on slixmpp, the library that Debian packages."""

import asyncio
import pathlib

import slixmpp
from slixmpp.xmlstream import ElementBase, register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

import appserver


class GCM(ElementBase):
    name = plugin_attrib = "gcm"
    namespace = "google:mobile:data"


register_stanza_plugin(slixmpp.Message, GCM)


async def main():
    options = appserver.parse_args()
    xmpp = slixmpp.ClientXMPP(f"{options.sender}@gcm.googleapis.com", options.key)
    xmpp.ca_certs = pathlib.Path(options.ca)

    def send(text):
        message = xmpp.Message()
        message["gcm"].xml.text = text
        message.send()

    app = appserver.AppServer("slixmpp", slixmpp.__version__, options, send)
    xmpp.register_handler(Callback(
        "gcm", StanzaPath("message/gcm"), lambda message: app.handle(message["type"] == "error", message["gcm"].xml.text)))
    xmpp.add_event_handler("disconnected", lambda _: app.ended())
    online = asyncio.Event()
    xmpp.add_event_handler("session_start", lambda _: online.set())
    xmpp.connect((options.host, options.port), use_ssl=True, force_starttls=False, disable_starttls=True)
    await online.wait()
    await app.run()


asyncio.run(main())
