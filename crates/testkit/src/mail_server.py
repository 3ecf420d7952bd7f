"""A mail server that keeps what it takes: mail_server.py PORT plain|starttls|tls [CERTIFICATE KEY].

Each letter becomes a file in `taken/`, with its recipient in the first line. Whoever logs in must be `vouchsafe` with the
password in the environment variable PASSWORD. It never knows `nobody@...`, and takes nothing while there is a file `busy`.
"""
import asyncio
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

TAKEN = pathlib.Path("taken")


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 there is nobody of that name"
        if pathlib.Path("busy").exists():
            return "451 4.3.2 come again later"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        number = len(list(TAKEN.iterdir()))
        letter = "\n".join(envelope.rcpt_tos).encode() + b"\n" + envelope.content
        (TAKEN / f"{number:04}").write_bytes(letter)
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"vouchsafe", os.environ["PASSWORD"].encode())
    return AuthResult(success=right, handled=False)


async def main(port, mode, *files):
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*files)
    TAKEN.mkdir()

    def session():
        more = {"tls_context": context, "require_starttls": True} if mode == "starttls" else {}
        # Where all is wrapped in TLS, it does not know that it is.
        safe = mode == "starttls"
        return SMTP(
            Keep(), hostname="localhost", authenticator=login, auth_require_tls=safe, **more
        )

    wrap = context if mode == "tls" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port), ssl=wrap)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
