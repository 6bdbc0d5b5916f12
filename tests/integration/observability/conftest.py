"""`lived`: one eventful day of the whole stack under its own Prometheus, lived once a session."""

from __future__ import annotations

import pytest

from serve.local import prometheus_process
from tests.support.lived import Day, Lived
from tests.support.prometheus import Prometheus
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def observed(request: pytest.FixtureRequest) -> Stack:
    """The stack, with Prometheus and the autoscaler."""
    if prometheus_process.program() is None:
        pytest.skip(f"Prometheus is not installed: {prometheus_process.HOW_TO_INSTALL}")
    stack: Stack = request.getfixturevalue("stack")
    assert stack.state.prometheus_url, "the stack was started without Prometheus: `parlance down`, and again"
    return stack


@pytest.fixture(scope="session")
def prometheus(observed: Stack) -> Prometheus:
    """The stack's own."""
    return Prometheus(str(observed.state.prometheus_url))


@pytest.fixture(scope="session")
def lived(observed: Stack, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The day, over."""
    return Day(observed, prometheus, tmp_path_factory.mktemp("second")).live()
