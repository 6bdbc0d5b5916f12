"""`stack`: the whole laptop stack, started once a session by the code of `parlance up`, on ports of its own.

PARLANCE_TEST_STACK names the state directory of a stack that runs already (`.state` after `parlance up`): it is used as
it is and left running, which saves minutes while a test is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.local import stack as local
from serve.local.progress import View
from serve.local.state import Store
from tests.support.stack import Stack, laptop_elsewhere, running

REUSE = "PARLANCE_TEST_STACK"
START_TIMEOUT_S = 560  # within the time-out of the first test, which waits for it


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every model of the laptop fleet on one Ray, behind the gateway."""
    if existing := os.environ.get(REUSE):
        yield running(Store(Path(existing)))
        return
    root = tmp_path_factory.mktemp("stack")
    store = Store(root / "state")
    fleet_file = laptop_elsewhere(root / "fleet.yaml")
    local.up(local.Options(fleet=fleet_file, timeout_s=START_TIMEOUT_S), store, View(sys.stderr))
    try:
        yield running(store)
    finally:
        local.down(store)
