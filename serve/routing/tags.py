"""Language tags as callers write them, as routing compares them, and as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

OTHER = "other"
DATA = Path(__file__).with_name("data")

# A macrolanguage stands for its members in what a card declares and in what a hint asks for.
MACRO: Mapping[str, tuple[str, ...]] = MappingProxyType({"no": ("nb", "nn"), "sr": ("sr-Cyrl", "sr-Latn")})

# ISO 639-2/3 and older codes that callers still send.
_ALIASES = {
    "nor": "no", "nob": "nb", "nno": "nn", "sme": "se", "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr",
    "spa": "es", "swe": "sv", "dan": "da", "isl": "is", "fao": "fo", "fin": "fi", "iw": "he", "in": "id", "cmn": "zh",
}  # fmt: skip
_SHAPE = re.compile(r"^([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_][A-Za-z0-9]{1,8}){0,4}$")


@lru_cache(maxsize=1024)
def normal(tag: str) -> str | None:
    """The tag that routing uses for what a caller wrote (`nn-NO`, `NOB`, `zh_Hant_TW`), or None when it is no tag.

    Region and variant are dropped; a script is kept where routing tells it apart (Serbian).
    """
    match = _SHAPE.match(tag.strip()) if len(tag) <= 64 else None
    if match is None:
        return None
    primary = match[1].lower()
    primary = _ALIASES.get(primary, primary)
    script = match[2].title() if match[2] else None
    scripted = f"{primary}-{script}"
    return scripted if scripted in MACRO.get(primary, ()) else primary


def members(tag: str) -> tuple[str, ...]:
    """What a tag stands for: the members of a macrolanguage, else itself."""
    return MACRO.get(tag, (tag,))


def rows(name: str) -> Iterator[list[str]]:
    """The rows of one of this package's TSV files, comments left out."""
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


@cache
def _names() -> Mapping[str, str]:
    names = dict(rows("languages.tsv"))
    names |= {"no": "Norwegian", "sr-Cyrl": "Serbian (Cyrillic)", "sr-Latn": "Serbian (Latin)"}
    return MappingProxyType(names)


def known_languages() -> tuple[str, ...]:
    """The tags that have a name here, and `other`: a bounded set for metric labels. A decision's tag may be rarer."""
    return tuple(sorted({*_names(), OTHER}))


def name(tag: str) -> str:
    """The English name of a language, or the tag where none is known."""
    return _names().get(tag, tag)
