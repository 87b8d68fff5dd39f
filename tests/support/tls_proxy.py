"""An end that speaks TLS in front of a server of the tests that does not, and the certificate that signed its own."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

ASKS_FOR_TLS = 80877103  # what a client of PostgreSQL sends before it speaks TLS


class TlsProxy:
    """Listens on a port of its own, with a certificate for ``name`` that ``root`` alone vouches for.

    Args:
        folder: an empty directory for keys and certificates.
        target: port of the server that everything is handed on to; None: there is none, whoever comes in is counted.
        name: the host that the certificate is for.
    """

    def __init__(self, folder: Path, target: int | None = None, name: str = "localhost") -> None:
        self.root = folder / "root.pem"
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(_certificate(folder, name, self.root))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.let_in = 0  # connections whose client accepted the certificate
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            if client.recv(8, socket.MSG_PEEK) == struct.pack("!II", 8, ASKS_FOR_TLS):
                client.recv(8)
                client.sendall(b"S")
            secured = self._context.wrap_socket(client, server_side=True)
            first = secured.recv(65536)  # a client that refuses the certificate sends nothing more
            if not first:
                return
            self.let_in += 1
            if self._target is None:
                secured.close()
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            server.sendall(first)
            threading.Thread(target=_hand_on, args=(server, secured), daemon=True).start()
            _hand_on(secured, server)


def _hand_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)


def _certificate(folder: Path, name: str, root: Path) -> Path:
    """A file with a key and a certificate for a name, signed by a root of its own."""
    now = dt.datetime.now(dt.UTC)
    keys = {one: ec.generate_private_key(ec.SECP256R1()) for one in ("root", name)}
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"root of {name}")])
    made = {}
    for one, key in keys.items():
        subject = issuer if one == "root" else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)])
        made[one] = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=one == "root", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(one)]), critical=False)
            .sign(keys["root"], hashes.SHA256())
        )
    root.write_bytes(made["root"].public_bytes(Encoding.PEM))
    own = folder / "server.pem"
    key_text = keys[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.write_bytes(key_text + made[name].public_bytes(Encoding.PEM))
    return own
