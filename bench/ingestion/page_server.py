"""Serves the answers of a Shopify shop from memory, at a speed that no shop has.

The sandbox's simulator computes every page anew, and would be what is measured. This server stands before it: a request
it has not seen goes on to the simulator, and its answer, header and cost extensions included, is kept, in memory and
as a file. Once a load has read the hour through it, the simulator can end.
"""

from __future__ import annotations

import argparse
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

VERSION_HEADER = "X-Shopify-API-Version"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20  # status line, headers and page in one write
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        version, body = self.server.answer(self.path, asked, self.headers["X-Shopify-Access-Token"])
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header(VERSION_HEADER, version)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, behind: str, directory: Path) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.behind = behind
        self.directory = directory
        self.known: dict[bytes, tuple[str, bytes]] = {}
        self.lock = threading.Lock()

    def answer(self, path: str, asked: bytes, token: str) -> tuple[str, bytes]:
        """API version and body of the answer to one request."""
        if (known := self.known.get(asked)) is not None:
            return known
        headers = {"Content-Type": "application/json", "X-Shopify-Access-Token": token}
        fresh = httpx.post(self.behind + path, content=asked, headers=headers, timeout=60).raise_for_status()
        with self.lock:
            (self.directory / f"{len(self.known):05d}.json").write_bytes(fresh.content)
            self.known[asked] = (fresh.headers[VERSION_HEADER], fresh.content)
            return self.known[asked]


def main() -> None:
    """Serve on the socket that whoever starts this hands over."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingestion.page_server", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--behind", required=True, help="base URL of the shop that is asked for what is not known")
    parser.add_argument("--keep", type=Path, required=True, help="directory for the answers")
    arguments = parser.parse_args()
    _Server(socket.socket(fileno=arguments.fd), arguments.behind, arguments.keep).serve_forever()


if __name__ == "__main__":
    main()
