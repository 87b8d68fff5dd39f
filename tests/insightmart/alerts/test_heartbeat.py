"""A sign of life over real HTTP: it arrives, or is missed in words that keep its address secret."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr

from insightmart.alerts import heartbeat
from insightmart.alerts.heartbeat import beat
from insightmart.settings import Settings
from tests.faults.proxy import Fault, Proxy
from tests.support.inbox import free_port
from tests.support.web_hook import web_hook


def test_it_arrives_once_more_tried_where_it_failed(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with web_hook() as hook:
        settings.heartbeat_url = SecretStr(f"http://{hook.at}/ping/s3cret")
        assert beat(settings) is None
        hook.statuses = [503]
        assert beat(settings, pause=0) is None
        assert hook.requests == [("GET", "/ping/s3cret", "")] * 2
        hook.statuses = [503, 503]
        missed = beat(settings, pause=0)
    assert missed is not None
    assert missed.message == "the heartbeat did not arrive: it was answered with 503"
    assert "s3cret" not in caplog.text


@pytest.mark.usefixtures("ends")
def test_an_answer_that_comes_bit_by_bit_is_not_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "SECONDS", 0.5)
    with web_hook() as hook, Proxy(int(hook.at.split(":")[1])) as proxy:
        proxy.set(Fault("drip", pause=0.1))
        settings.heartbeat_url = SecretStr(f"http://127.0.0.1:{proxy.port}/ping/s3cret")
        missed = beat(settings)
    assert missed is not None
    assert missed.message == "the heartbeat did not arrive: no answer in time"


def test_what_is_missed_is_a_notice_without_the_address(settings: Settings) -> None:
    assert beat(settings) is None
    settings.heartbeat_url = SecretStr(f"http://127.0.0.1:{free_port()}/ping/s3cret")
    missed = beat(settings, pause=0)
    assert missed is not None
    assert missed.message == "the heartbeat did not arrive: nobody answers there"
    assert "s3cret" not in missed.line
    assert "s3cret" in "".join(settings.secrets)  # so that no log line shows it
