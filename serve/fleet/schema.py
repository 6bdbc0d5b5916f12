"""The fleet description as JSON schema, and as the reference table of docs/fleet.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from serve.fleet.card import ModelCard
from serve.fleet.description import FleetFile

Schema = dict[str, Any]

BEGIN: Final = "<!-- reference -->\n"
END: Final = "<!-- /reference -->"

# Parts of a card that a fleet states as a whole: half a price has no source.
_WHOLE = ("Price", "Quality", "TaskQuality")


def json_schema() -> Schema:
    """JSON schema (2020-12) of a fleet file. `card:` takes any part of a card's fields, at any depth."""
    schema = FleetFile.model_json_schema()
    card = ModelCard.model_json_schema()
    definitions = {**card.pop("$defs"), "ModelCard": card}
    schema["$defs"] |= {name: schema["$defs"].get(name, part) for name, part in _partial(definitions).items()}
    field = schema["$defs"]["ModelEntry"]["properties"]["card"]
    schema["$defs"]["ModelEntry"]["properties"]["card"] = {
        "$ref": "#/$defs/ModelCard",
        "default": {},
        "description": field["description"],
    }
    _close(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def reference() -> str:
    """The reference as Markdown: a table for each part of the description, from the file inwards."""
    schema = json_schema()
    parts = {"FleetFile": schema, **schema["$defs"]}
    out = []
    for name in _order(parts):
        part = parts[name]
        title = "The file" if name == "FleetFile" else name
        out += [f"### {title}", ""]
        if about := _first_line(part.get("description", "")):
            out += [about, ""]
        if "enum" in part:
            out += [", ".join(f"`{value}`" for value in part["enum"]), ""]
            continue
        out += ["| field | what it takes | default | meaning |", "|---|---|---|---|"]
        required = part.get("required", ())
        for field, value in part["properties"].items():
            meaning = _cell(value.get("description", ""))
            default = "required" if field in required else _default(value)
            out.append(f"| `{field}` | {_type(value)} | {default} | {meaning} |")
        out.append("")
    return "\n".join(out)


def with_reference(page: str) -> str:
    """A Markdown page with the reference between its marks. Raises ValueError when it has no marks."""
    return between_marks(page, reference())


def between_marks(page: str, text: str) -> str:
    """A Markdown page with `text` between its marks. Raises ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"has no {BEGIN.strip()} and {END}")
    return before + BEGIN + text + END + after


def _close(value: Any) -> None:
    """Forbids keys that match no pattern, which pydantic refuses and its schema leaves open."""
    if isinstance(value, dict):
        if "patternProperties" in value:
            value["additionalProperties"] = False
        for below in value.values():
            _close(below)
    elif isinstance(value, list):
        for below in value:
            _close(below)


def _partial(definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """The definitions with nothing required, but for those that are stated as a whole."""
    return {
        name: part if name in _WHOLE else {key: value for key, value in part.items() if key != "required"}
        for name, part in definitions.items()
    }


def _order(parts: Mapping[str, Schema]) -> list[str]:
    """Names of the parts, each after the first part that mentions it."""
    order = ["FleetFile"]
    for name in order:
        order.extend(ref for ref in _references(parts[name].get("properties", {})) if ref not in order)
    return order


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(ref := value.get("$ref"), str):
            yield ref.rpartition("/")[2]
        for below in value.values():
            yield from _references(below)
    elif isinstance(value, list):
        for below in value:
            yield from _references(below)


def _type(value: Schema) -> str:
    """What a field takes, in a few words."""
    if ref := value.get("$ref"):
        name = ref.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_type(member) for member in value["anyOf"] if member.get("type") != "null")
    if "enum" in value:
        return ", ".join(f"`{member}`" for member in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    kind = value.get("type", "anything")
    if kind == "array":
        return f"list of {_type(value.get('items', {}))}"
    if kind == "object":
        by_pattern = list(value.get("patternProperties", {}).values())
        return f"mapping to {_type(by_pattern[0] if by_pattern else value.get('additionalProperties') or {})}"
    words = {"string": "text", "integer": "whole number", "boolean": "`true`, `false`"}.get(kind, kind)
    return f"{words}{_range(value)}"


def _range(value: Schema) -> str:
    bounds = [
        f"{sign} {value[key]:,}"
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))
        if key in value
    ]
    return f" {', '.join(bounds)}" if bounds else ""


def _default(value: Schema) -> str:
    if "default" not in value or value["default"] is None:
        return ""
    default = value["default"]
    if isinstance(default, dict) and default:
        return "its defaults"
    shown = {True: "true", False: "false"}.get(default, default) if isinstance(default, bool) else default
    return f"`{shown if shown != '' else chr(34) * 2}`"


def _first_line(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
