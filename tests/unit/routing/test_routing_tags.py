"""Tags as callers write them."""

from __future__ import annotations

import pytest

from serve.routing.tags import known_languages, members, name, normal

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("written", "tag"), [("nn", "nn"), ("nn-NO", "nn"), ("NOB", "nb"), ("zh_Hant_TW", "zh"),
                                              ("pt-BR", "pt"), ("sr-Latn", "sr-Latn"), ("sr-latn-RS", "sr-Latn"),
                                              ("de-Latn", "de"), (" no ", "no"), ("eng", "en")])  # fmt: skip
def test_normal(written: str, tag: str) -> None:
    assert normal(written) == tag


@pytest.mark.parametrize("written", ["", "norsk", "n", "12", "a" * 1000, "nn\n\x00", "en;drop", "\ud800"])
def test_what_is_no_tag(written: str) -> None:
    assert normal(written) is None


def test_a_macrolanguage_has_members_and_names_are_english() -> None:
    assert members("no") == ("nb", "nn")
    assert members("de") == ("de",)
    assert name("nn") == "Norwegian Nynorsk"
    assert name("tlh") == "tlh"
    assert {"nb", "se", "other"} <= set(known_languages())
