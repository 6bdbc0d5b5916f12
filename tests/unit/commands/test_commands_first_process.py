"""SIGTERM ends a command that is process 1 of a container, however early it comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from serve import cli

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_the_first_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    cli.heed_sigterm()
    with pytest.raises(SystemExit) as ended:
        os.kill(own, signal.SIGTERM)
    assert ended.value.code == 143


def test_any_other_keeps_the_kernel_s_way() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cli.heed_sigterm()
    assert signal.getsignal(signal.SIGTERM) is before
