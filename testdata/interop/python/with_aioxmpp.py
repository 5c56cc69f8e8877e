"""An app server on aioxmpp, the library that Debian packages."""

import asyncio

import aioxmpp
import aioxmpp.dispatcher
import aioxmpp.xso

import appserver


class GCM(aioxmpp.xso.XSO):
    TAG = ("google:mobile:data", "gcm")
    text = aioxmpp.xso.Text(default=None)


aioxmpp.Message.gcm = aioxmpp.xso.Child([GCM])


async def main():
    options = appserver.parse_args()

    def tls():
        context = aioxmpp.security_layer.default_ssl_context()
        context.load_verify_locations(options.ca)
        return context

    client = aioxmpp.Client(
        aioxmpp.JID.fromstr(f"{options.sender}@gcm.googleapis.com"),
        aioxmpp.make_security_layer(options.key, ssl_context_factory=tls),
        override_peer=[(options.host, options.port, aioxmpp.connector.XMPPOverTLSConnector())])

    def send(text):
        message = aioxmpp.Message(type_=aioxmpp.MessageType.NORMAL)
        message.gcm = GCM()
        message.gcm.text = text
        client.enqueue(message)

    app = appserver.AppServer("aioxmpp", aioxmpp.__version__, options, send)

    def receive(message):
        if message.gcm is not None:
            app.handle(message.type_ == aioxmpp.MessageType.ERROR, message.gcm.text)

    client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher).register_callback(None, None, receive)
    client.on_stream_destroyed.connect(lambda reason=None: app.ended())
    async with client.connected():
        await app.run()
        client.stop()  # or it would look for the server again


asyncio.run(main())
