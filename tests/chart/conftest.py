"""The chart as Helm renders it, without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.helm import CHART, Helm, Object, Render, helm_at, missing

VALUES = [None, *sorted(CHART.glob("values-*.yaml"))]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm, or a loud skip that says how to get it."""
    found = helm_at(tmp_path_factory.mktemp("helm"))
    if found is None:
        pytest.skip(missing())
    return found


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> Callable[..., list[Object]]:
    """rendered(values={…}, files=[…], sets=["a.b=c"], args=[…], api_versions=[…]): the objects of a render."""

    def objects(values: dict[str, Any] | None = None, **rest: Any) -> list[Object]:
        return helm.objects(Render(values=values, **rest))

    return objects


@pytest.fixture(scope="session")
def refused(helm: Helm) -> Callable[..., str]:
    """refused(…), with the same arguments: the words with which Helm refuses."""

    def refusal(values: dict[str, Any] | None = None, **rest: Any) -> str:
        return helm.refusal(Render(values=values, **rest))

    return refusal


@pytest.fixture(scope="module")
def default(rendered: Callable[..., list[Object]]) -> list[Object]:
    """The chart as it ships."""
    return rendered()


@pytest.fixture(params=VALUES, ids=lambda path: path.stem if path else "default", scope="module")
def objects(request: pytest.FixtureRequest, rendered: Callable[..., list[Object]]) -> list[Object]:
    """Each values file of the chart."""
    return rendered(files=[request.param] if request.param else [])
