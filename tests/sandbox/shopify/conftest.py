"""What tests of the simulated shop share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.shopify.server import create_server
from sandbox.shopify.shop import Shop
from tests.support.simulated_shop import TOKEN, Client, order


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    server = create_server(tmp_path / "shop.sqlite", TOKEN)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    shop = Shop(tmp_path / "shop.sqlite")
    shop.upsert_orders(order(number, f"2026-03-05T10:00:{number:02d}Z") for number in range(1, 8))
    running = Client(shop, f"http://127.0.0.1:{server.server_address[1]}")
    yield running
    running.http.close()
    server.shutdown()
    server.server_close()
    thread.join()
