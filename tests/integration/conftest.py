"""`stack`: the whole laptop stack, started once a session by the code of `parlance up`, on ports of its own.

A stack that `make up` started, of this very code, is used as it is and left running: two of them need 18 GB.
PARLANCE_TEST_STACK names the state directory of another one to use, whatever code it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import autoscaling
import observability
import serve
from serve.fleet import loader
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
    if made_up := _made_up():
        yield running(made_up)
        return
    root = tmp_path_factory.mktemp("stack")
    store = Store(root / "state")
    fleet_file = laptop_elsewhere(root / "fleet.yaml")
    local.up(local.Options(fleet=fleet_file, timeout_s=START_TIMEOUT_S), store, View(sys.stderr))
    try:
        yield running(store)
    finally:
        local.down(store)


def _made_up() -> Store | None:
    """The stack of `make up`, when it is whole, serves the laptop's fleet, and no source is newer than it."""
    store = Store()
    state = store.load()
    if state is None or Path(state.fleet).resolve() != loader.LAPTOP.resolve() or not state.gateway_url:
        return None
    if set(state.models) != {model.id for model in loader.laptop().models}:
        return None
    packages = (Path(str(package.__file__)).parent for package in (serve, observability, autoscaling))
    sources = (path for package in packages for path in package.rglob("*") if path.suffix in {".py", ".yaml", ".tsv"})
    if any(path.stat().st_mtime > state.started_at for path in sources):
        return None
    return None if local.health(state).ill else store
