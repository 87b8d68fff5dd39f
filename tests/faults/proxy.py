"""A TCP proxy that stands between us and a source, and does what networks do: it stalls, cuts and drips.

What it does is set while it runs, and holds for connections that are opened afterwards as well as for those that are
open. A fault at a random byte is drawn from a seed, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

BLOCK = 64 * 1024


@dataclass(frozen=True)
class Fault:
    """What happens to what the other side sends.

    Attributes:
        kind: ``pass`` nothing; ``stall`` no byte more arrives, and both sides stay connected; ``cut`` both are cut off;
            ``drip`` one byte a time arrives, with a pause between; ``deaf`` connections are taken and nothing is passed
            on, neither way.
        after: bytes that arrive before, over all connections since the fault was set.
        each: they are counted for each connection by itself.
        pause: seconds between two bytes of a drip.
    """

    kind: str = "pass"
    after: int = 0
    each: bool = False
    pause: float = 0.05

    @classmethod
    def drawn(cls, kind: str, seed: int, within: int) -> Fault:
        """The fault at a byte that the seed draws out of so many."""
        return cls(kind, random.Random(seed).randrange(within))


class Proxy:
    """Passes connections to loopback on to a port there; use it in a ``with`` block. ``port`` is where it listens."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.connections = 0
        self.passed = 0  # bytes of the other side that arrived, since the fault was set
        self._fault = Fault()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def set(self, fault: Fault) -> None:
        """From now on this happens; connections that are open are cut when it is ``pass`` again."""

        async def change() -> None:
            self._fault, self.passed = fault, 0
            if fault.kind == "pass":
                await self._cut()

        self._done(change())

    def __enter__(self) -> Proxy:
        self._thread.start()

        async def listen() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]

        self._done(listen())
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            assert self._server
            self._server.close()
            await self._cut()

        self._done(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _done(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _cut(self) -> None:
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.connections += 1
        there_writer: asyncio.StreamWriter | None = None
        try:
            there, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ways = [
                asyncio.ensure_future(self._pass_on(reader, there_writer, lambda: self._fault.kind == "deaf")),
                asyncio.ensure_future(self._answer(there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for one in (writer, there_writer):
                if one is not None:
                    one.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_held: Callable[[], bool]
    ) -> None:
        while block := await reader.read(BLOCK):
            if is_held():
                await asyncio.Event().wait()
            writer.write(block)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = 0
        while block := await reader.read(BLOCK):
            while block:
                fault = self._fault
                size = len(block)
                if fault.kind != "pass":
                    size = min(size, max(0, fault.after - (own if fault.each else self.passed)))
                writer.write(block[:size])
                await writer.drain()
                self.passed += size
                own += size
                if not (block := block[size:]):
                    break
                if fault.kind == "cut":
                    return
                if fault.kind == "drip":
                    await asyncio.sleep(fault.pause)
                    writer.write(block[:1])
                    await writer.drain()
                    block = block[1:]
                    continue
                await asyncio.Event().wait()
