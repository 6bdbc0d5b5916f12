"""docs/routing.md names every code there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from serve.cli import main
from serve.routing import LanguageSource, Rejection
from serve.routing.candidates import ORDER
from serve.routing.policy import REASONS

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "routing.md"
EXAMPLES = re.findall(r"^```text\n\$ parlance (.*)\n((?:.*\n)*?)```$", PAGE.read_text(encoding="utf-8"), re.M)


def test_every_code_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    codes = [*REASONS, *(r.value for r in Rejection), *(s.value for s in LanguageSource)]
    assert [code for code in codes if f"`{code}`" not in text] == []


def test_rejections_are_documented_in_their_order() -> None:
    assert set(ORDER) == set(Rejection)
    text = PAGE.read_text(encoding="utf-8").split("## 4.")[1].split("## 5.")[0]
    places = [text.index(f"`{code.value}`") for code in ORDER]
    assert places == sorted(places)


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=lambda text: text[:30])
def test_an_example_is_what_the_command_prints(command: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == printed
