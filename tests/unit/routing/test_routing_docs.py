"""docs/routing.md names every code there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.routing import LanguageSource, Rejection
from serve.routing.candidates import ORDER
from serve.routing.policy import REASONS

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "routing.md"


def test_every_code_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    codes = [*REASONS, *(r.value for r in Rejection), *(s.value for s in LanguageSource)]
    assert [code for code in codes if f"`{code}`" not in text] == []


def test_rejections_are_documented_in_their_order() -> None:
    assert set(ORDER) == set(Rejection)
    text = PAGE.read_text(encoding="utf-8").split("## 4.")[1].split("## 5.")[0]
    places = [text.index(f"`{code.value}`") for code in ORDER]
    assert places == sorted(places)
