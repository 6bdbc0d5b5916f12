"""Every values file that ships passes `helm lint --strict` and renders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.helm import CHART, KINDS, Helm, Object

pytestmark = pytest.mark.integration

FILES = sorted(CHART.glob("values*.yaml"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """A values file of the chart."""
    return request.param


def test_helm_is_of_a_version_that_the_chart_supports(helm: Helm) -> None:
    assert helm.version >= (3, 14)


def test_the_linter_has_nothing_to_say(helm: Helm, file: Path) -> None:
    kinds = [part for kind in KINDS for part in ("--api-versions", kind)] if _lint_takes_kinds(helm) else []
    answer = helm.run("lint", "--strict", "--namespace", "parlance", "--values", str(file), *kinds, str(CHART))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 chart(s) failed" in answer.stdout


def test_every_values_file_renders(rendered: Callable[..., list[Object]], file: Path) -> None:
    objects = rendered(files=[file])
    assert {"ConfigMap"} <= {one["kind"] for one in objects}
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names)), "two objects are one"


def _lint_takes_kinds(helm: Helm) -> bool:
    return "--api-versions" in helm.run("lint", "--help").stdout
