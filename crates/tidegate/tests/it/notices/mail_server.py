"""A mail server (aiosmtpd) that tells what it took: one line `mail JSON` per message."""

import email
import email.policy
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

mode, chain, key = sys.argv[1:4]


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": message["Subject"],
            "text": message.get_content(),
            "key": message["Idempotency-Key"],
            "tls": session.ssl is not None or mode == "implicit",
        }
        print("mail " + json.dumps(told), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = data.login == b"tide" and data.password == b"right password"
    return AuthResult(success=right, handled=False)


context = None
if mode != "none":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
options = {}
if mode == "starttls":
    options = dict(tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate)
if mode == "implicit":
    options = dict(auth_required=True, auth_require_tls=False, authenticator=authenticate)


class Chosen(Controller):
    """Takes a port that the system chooses."""

    def factory(self):
        return SMTP(Handler(), **options)

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


hostname = "localhost" if mode != "none" else "127.0.0.1"
controller = Chosen(Handler(), hostname="127.0.0.1", port=0, ssl_context=context if mode == "implicit" else None)
controller.start()
print(f"listening {controller.port}", flush=True)
while True:
    time.sleep(3600)
