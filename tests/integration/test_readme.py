"""The README's snippets run as they stand, against the running stack; its `make` targets exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)


def blocks(language):
    return [text for name, text in BLOCKS if name == language]


def here(text, stack):
    """The snippet with this stack's port and this environment's programs."""
    return text.replace("http://127.0.0.1:8080", stack.gateway_url).replace(
        ".venv/bin/parlance", str(Path(sys.executable).with_name("parlance"))
    )


def run(command, **more):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, **more)


@pytest.mark.parametrize("text", blocks("bash"), ids=lambda t: t.split("\n")[0][:50])
def test_shell_snippets(stack, text):
    done = run(["bash", "-euo", "pipefail", "-c", here(text, stack)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "curl" in text:
        assert '"cost":' in done.stdout


@pytest.mark.parametrize("text", blocks("python"), ids=lambda t: t.split("\n")[0])
def test_python_snippets(stack, text):
    done = run([sys.executable, "-c", here(text, stack)], env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "cost=" in done.stdout


def test_the_explained_decision_is_what_the_command_prints(stack):
    command = next(t for t in blocks("bash") if "parlance route" in t)
    done = run(["bash", "-c", here(command, stack)])
    assert [line.rstrip() for line in done.stdout.strip().splitlines()] == [
        line.rstrip() for line in blocks("text")[0].strip().splitlines()
    ]


def test_make_targets_exist():
    named = set(re.findall(r"`?make ([a-z-]+)", README))
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert named
    assert named <= there


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
