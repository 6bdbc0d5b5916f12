"""helm-unittest's suites of the chart (deploy/helm/parlance/tests): one behaviour a test, and the default render.

A change of the default render is looked at, and then kept: `untt --update-snapshot deploy/helm/parlance`.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.support.helm import CHART, Helm
from tests.support.programs import ADVICE, program

pytestmark = pytest.mark.integration

SUITES = sorted((CHART / "tests").glob("*_test.yaml"))


@pytest.fixture(scope="module")
def untt() -> Path:
    """helm-unittest's program, or a loud skip that says how to get it."""
    found = program("untt")
    if found is None:
        pytest.skip(ADVICE["untt"])
    return found


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_a_suite_passes(untt: Path, suite: Path) -> None:
    command = [str(untt), "--strict", "--file", f"tests/{suite.name}", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load(suite.read_text(encoding="utf-8"))["tests"]
    assert f"{len(tests)} passed, {len(tests)} total" in done.stdout


def test_every_template_is_in_the_snapshot() -> None:
    """Of the default render, and of it alone: a behaviour that depends on values is a test of its own."""
    snapshots = sorted((CHART / "tests" / "__snapshot__").glob("*"))
    assert [path.name for path in snapshots] == ["snapshot_test.yaml.snap"]


def test_the_package_has_no_tests(helm: Helm, tmp_path: Path) -> None:
    done = helm.run("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        names = archive.getnames()
    assert not [name for name in names if name.startswith("parlance/tests")]
    for needed in ("templates/tests/first-request.yaml", "files/checks.json", "files/first_request.py", "README.md"):
        assert f"parlance/{needed}" in names
