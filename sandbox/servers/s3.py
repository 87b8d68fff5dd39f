"""The S3 endpoint of the sandbox: moto over HTTP, in a process (and so with a GIL) of its own.

`python -m sandbox.servers.s3 --fd N` serves on the listening socket it inherits as file descriptor N. Objects live in
memory and go when the process goes. Any access key is accepted.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class QuietRequestHandler(MotoRequestHandler):
    """A request is not an event worth a line: a day of store files is thousands of them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which lists its module directories on every request: 40% of the time of a small PUT."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


def serve(listener: socket.socket) -> None:
    """Answer requests on a listening socket until the process ends."""
    host, port = listener.getsockname()
    server = make_server(
        host, port, Dispatcher(), threaded=True, request_handler=QuietRequestHandler, fd=listener.fileno()
    )
    server.serve_forever()


def main() -> None:
    """Serve on the socket that the supervisor hands over."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servers.s3", description=__doc__.partition("\n")[0])
    parser.add_argument("--fd", type=int, required=True, help="file descriptor of the listening socket")
    serve(socket.socket(fileno=parser.parse_args().fd))


if __name__ == "__main__":
    main()
