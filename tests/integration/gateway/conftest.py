"""One gateway process before two scripted engines: `big` may answer anything, `small` is cheaper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.browser import Visit, chromium
from tests.support.engine import Engine, answer
from tests.support.gateway import GatewayProcess

TIMEOUTS = {"connect_s": 1, "first_byte_s": 2, "idle_s": 2, "whole_s": 4, "write_s": 2}
LIMITS = {"body_bytes": 262_144, "header_bytes": 8192, "header_timeout_s": 1, "body_timeout_s": 1}
HEALTH = {"interval_s": 0.1, "timeout_s": 1, "failures": 2}
# For tests that are not about engines that are slow: one that a busy machine makes slow is not taken for dead.
PATIENT = {"timeouts": {"first_byte_s": 30, "idle_s": 30}, "health": {**HEALTH, "timeout_s": 20}}


def fleet(big: Engine, small: Engine, **gateway: Any) -> dict[str, Any]:
    tiny = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}
    return {
        "clusters": {"a": {"serve_url": big.url}, "b": {"serve_url": small.url}},
        "models": [
            {
                "use": "llama-3.3-70b-instruct",
                "id": "big",
                "aliases": ["gpt-4o"],
                "cluster": "a",
                "engine": {**tiny, "tensor_parallel": 2, "max_model_len": 8192},
            },
            {"use": "suzume-llama-3-8b-multilingual", "id": "small", "cluster": "b", "engine": tiny},
        ],
        "routing": {"reference": "big", "quality_floor": -100},
        "gateway": {"limits": LIMITS, "timeouts": TIMEOUTS, "health": HEALTH, "drain_s": 5, **gateway},
    }


@pytest.fixture
def pair() -> Iterator[tuple[Engine, Engine]]:
    """Two engines of the test's own."""
    engines = Engine(), Engine()
    yield engines
    for engine in engines:
        engine.stop()


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Engine, Engine]]:
    pair = Engine(), Engine()
    yield pair
    for engine in pair:
        engine.stop()


@pytest.fixture(scope="module")
def shared_gateway(
    engines: tuple[Engine, Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), fleet(*engines))
    yield gateway
    gateway.stop()


@pytest.fixture
def gateway(shared_gateway: GatewayProcess, engines: tuple[Engine, Engine]) -> Iterator[GatewayProcess]:
    """The module's gateway, its engines healthy and their memory of requests empty."""
    for engine in engines:
        engine.handle, engine.health, engine.left = answer, 200, 0
        engine.requests.clear()
    shared_gateway._wait("/readyz")
    yield shared_gateway
    assert shared_gateway.process.poll() is None, "the gateway died"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real one; tests that need it are skipped where there is none."""
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Any, gateway: GatewayProcess) -> Iterator[Callable[..., Visit]]:
    """Opens pages of the operator, `of=` another gateway. Fails a test whose page complained, or left its origin."""
    made: list[Visit] = []

    def new(*, of: GatewayProcess | None = None, **options: Any) -> Visit:
        made.append(Visit(browser, of or gateway, **options))
        return made[-1]

    yield new
    for one in made:
        one.context.close()
    assert [problem for one in made for problem in one.watched.problems] == []
