"""A proxy of one server that can go silent: connections stand, also new ones, and nothing comes through any more."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class SilentProxy:
    """Listens on a port of its own and hands everything on, until it goes silent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_silent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def go_silent(self) -> None:
        """Take whatever is sent, and hand on nothing, in either direction."""
        self._is_silent.set()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not self._is_silent.is_set():
                    other.sendall(data)
            other.shutdown(socket.SHUT_WR)
