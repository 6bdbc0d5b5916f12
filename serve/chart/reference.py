"""The reference of docs/values.md: a table for each part of the values, every value with its whole path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import TypeAdapter

from serve.chart.defaults import Field, about, by_name, fields
from serve.chart.parts import Digest, Duration, Label, Name, Part, Quantity, Share, Url
from serve.chart.values import Values
from serve.fleet.schema import between_marks

Schema = dict[str, Any]

_WORDS: Final = {
    TypeAdapter(kind).json_schema()["pattern"]: word
    for kind, word in (
        (Name, "name"),
        (Label, "name"),
        (Quantity, "quantity"),
        (Duration, "duration"),
        (Digest, "digest"),
        (Share, "share"),
        (Url, "URL"),
    )
}
_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "null": "null",
}


def reference() -> str:
    """The reference as Markdown."""
    defaults = Values().model_dump(by_alias=True, mode="json")
    whole = fields(Values)
    out = ["### The whole", "", *_table(_rows(Values, "", defaults, [one for one in whole if not one.always]))]
    for one in whole:
        if one.always and one.part is not None:
            rows = _rows(one.part, f"{one.name}.", defaults[one.name], fields(one.part))
            out += ["", f"### {one.name}", "", about(one.part), "", *_table(rows)]
    return "\n".join(out) + "\n"


def with_reference(page: str) -> str:
    """A Markdown page with the reference between its marks. Raises ValueError when it has no marks."""
    return between_marks(page, reference())


def _table(rows: Iterator[tuple[str, str, str, str]]) -> Iterator[str]:
    yield "| value | what it takes | default | meaning |"
    yield "|---|---|---|---|"
    for path, kind, default, meaning in rows:
        cells = (f"`{path}`", kind, default, " ".join(meaning.split()))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rows(
    part: type[Part], prefix: str, defaults: Schema, shown: Iterable[Field]
) -> Iterator[tuple[str, str, str, str]]:
    """Path, type, default and meaning of each value of a part that is shown, and of the parts below it."""
    properties = part.model_json_schema(by_alias=True)["properties"]
    for field in shown:
        path, default = prefix + field.name, defaults[field.name]
        if field.part is None:
            yield path, _kind(properties[field.name]), _default(default), field.meaning
        elif field.always:
            yield path, "", "", field.meaning
            yield from _rows(field.part, f"{path}.", default, fields(field.part))
        else:
            many = by_name(field)
            yield path, "mapping" if many else "mapping or null", _default(default), field.meaning
            own = field.part().model_dump(by_alias=True, mode="json")
            yield from _rows(field.part, f"{path}.NAME." if many else f"{path}.", own, fields(field.part))


def _kind(value: Schema) -> str:
    """What a value takes, in a few words."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_kind(member) for member in value["anyOf"]))
    if "enum" in value:
        return ", ".join(f"`{member}`" for member in value["enum"])
    kind = value.get("type", "anything")
    if kind == "array":
        items = value.get("items", {})
        return "list of mappings" if items.get("type") == "object" else f"list of {_kind(items)}"
    if kind == "object":
        below = value.get("additionalProperties")
        return f"mapping to {_kind(below)}" if isinstance(below, dict) else "mapping"
    word = _WORDS.get(value.get("pattern", ""), _TYPES.get(kind, kind))
    bounds = [f"{sign} {value[key]:,}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in value]
    return f"{word} {', '.join(bounds)}".rstrip()


def _default(default: Any) -> str:
    return f"`{json.dumps(default, ensure_ascii=False)}`" if default is not None else "null"
