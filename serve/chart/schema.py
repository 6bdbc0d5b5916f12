"""The values' JSON schema, which Helm holds every install, upgrade, template and lint against.

Helm says where a value is wrong and what the schema wanted there, in the schema's own words; so the schema is written
for those sentences. Pydantic's alternatives ("either this or null") would each fail with a line of their own: here they
are one type. Draft 7 is what both of Helm's validators know, the one before 3.18 and the one since. Rules between two
values cannot stand in it: the chart's templates check them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from serve.chart.values import Values
from serve.fleet import catalogue
from serve.fleet import schema as fleet_schema
from serve.fleet.gpus import gpus

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
NULL: Final = {"type": "null"}
OR_NULL: Final = ".OrNull"
# Keywords whose value is a mapping from names to schemas; and those whose value is no schema.
_NAMED: Final = ("properties", "patternProperties", "$defs")
_VERBATIM: Final = ("default", "enum", "const", "required")


def schema() -> Schema:
    """The schema of the values. A fleet that is text is left to the templates, which parse it."""
    values = _plain(Values.model_json_schema(by_alias=True))
    # Nothing of ours is required: what a file leaves out stands in values.yaml.
    own = {name: _without(part, "required") for name, part in values.pop("$defs").items()}
    definitions = own | _fleet_parts()
    properties = values["properties"]
    properties["fleet"] |= {
        "type": ["object", "string", "null"],
        "if": {"type": "object"},
        "then": {"$ref": "#/$defs/Fleet.File"},
    }
    properties["models"]["additionalProperties"] = {"$ref": "#/$defs/Fleet.ModelChange"}
    # A GPU that the fleet cannot name would select nothing, silently.
    selectors = definitions["Engines"]["properties"]["gpuNodeSelectors"]
    selectors["properties"] = dict.fromkeys(gpus(), selectors["additionalProperties"])
    selectors["additionalProperties"] = False
    # Helm gives it to every chart.
    properties["global"] = {"type": "object", "description": "Helm's own, for charts of charts; not used."}
    values, definitions = (_with_known_keys(part, definitions) for part in (values, definitions))
    definitions |= _nullable(values, definitions)
    used = {name: part for name, part in definitions.items() if name in set(_references([values, definitions]))}
    found: Schema = _referring({"$schema": DRAFT, **values, "definitions": used}, "#/$defs/", "#/definitions/")
    return found


def _fleet_parts() -> dict[str, Schema]:
    """The fleet description's parts under names of their own: `Fleet.File` and those below it."""
    file = _plain(fleet_schema.json_schema())
    file.pop("$schema")
    parts = file.pop("$defs")
    # The images know no other GPUs and catalogue models, and the sentence of an error lists what is known.
    parts["Engine"]["properties"]["gpu"] |= _if_text({"enum": list(gpus())})
    parts["ModelEntry"]["properties"]["use"] |= _if_text({"enum": list(catalogue.names())})
    # A change is merged over what the fleet says: what an upstream needs stands there already.
    entry = parts["ModelEntry"]
    upstream = {"$ref": f"#/$defs/UpstreamChange{OR_NULL}"}
    parts["ModelChange"] = {
        **entry,
        "description": "Changes to a model of the fleet: any of its fields, at any depth.",
        "properties": {**entry["properties"], "upstream": entry["properties"]["upstream"] | upstream},
    }
    parts["UpstreamChange"] = _without(parts["Upstream"], "required")
    parts["File"] = file
    return {f"Fleet.{name}": _referring(part, "#/$defs/", "#/$defs/Fleet.") for name, part in parts.items()}


def _without(part: Schema, keyword: str) -> Schema:
    return {key: value for key, value in part.items() if key != keyword}


def _plain(part: Any) -> Any:
    """A schema of pydantic's without titles, which repeat the names, and with alternatives as one type."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    plain: Schema = {}
    for key, value in part.items():
        if key in _NAMED:
            plain[key] = {name: _plain(below) for name, below in value.items()}
        elif key in _VERBATIM:
            plain[key] = value
        elif key != "title":
            plain[key] = _plain(value)
    return _one_type(plain) if "anyOf" in plain else plain


def _one_type(part: Schema) -> Schema:
    """`anyOf` of different types as a list of types: a keyword is about one type and says nothing of the others.

    A reference and null become a reference to a definition that may be null; one of some words or something else, a
    condition on text. Alternatives that are not of that kind stay.
    """
    rest = {key: value for key, value in part.items() if key != "anyOf"}
    members = [member for member in part["anyOf"] if member != NULL]
    nullable = len(members) < len(part["anyOf"])
    if len(members) == 1 and "$ref" in members[0] and nullable:
        return {**rest, "$ref": members[0]["$ref"] + OR_NULL}
    words = [member for member in members if "$ref" in member]
    typed = [member for member in members if isinstance(member.get("type"), str)]
    if len(words) > 1 or len(words) + len(typed) < len(members):
        return part
    types = [member["type"] for member in typed]
    if "number" in types and "integer" in types:
        types.remove("integer")
    merged = {key: value for member in typed for key, value in member.items() if key != "type"}
    if words:
        types.insert(0, "string")
        merged |= _if_text(words[0])
    if nullable:
        types.append("null")
        if "const" in merged:
            merged |= _if_text({"const": merged.pop("const")})
    return {**rest, "type": types, **merged}


def _if_text(then: Schema) -> Schema:
    """What is asked of text alone. An enum with null in it would be told as "one of 'fp8', <nil>"."""
    return {"if": {"type": "string"}, "then": then}


def _with_known_keys(part: Any, definitions: Mapping[str, Schema]) -> Any:
    """With `properties` in place of `propertyNames`, of which Helm does not say where the wrong name stands."""
    if isinstance(part, list):
        return [_with_known_keys(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    found = {key: _with_known_keys(value, definitions) for key, value in part.items()}
    if isinstance(names := found.pop("propertyNames", None), dict):
        names = definitions[names["$ref"].rpartition("/")[2]] if "$ref" in names else names
        known = [names["const"]] if "const" in names else names["enum"]
        found |= {"properties": dict.fromkeys(known, found["additionalProperties"]), "additionalProperties": False}
    return found


def _referring(part: Any, to: str, instead: str) -> Any:
    """With `instead` in place of `to` at the beginning of every reference."""
    if isinstance(part, list):
        return [_referring(one, to, instead) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: value.replace(to, instead) if key == "$ref" and isinstance(value, str) else _referring(value, to, instead)
        for key, value in part.items()
    }


def _nullable(values: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """The definitions that are referred to as perhaps null: an object's keywords say nothing about null."""
    wanted = {name for name in _references([values, definitions]) if name.endswith(OR_NULL)}
    names = sorted(name.removesuffix(OR_NULL) for name in wanted)
    return {f"{name}{OR_NULL}": {**definitions[name], "type": ["object", "null"]} for name in names}


def _references(part: Any) -> Iterator[str]:
    """Names of the definitions that a schema refers to."""
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for below in part.values():
            yield from _references(below)
    elif isinstance(part, list):
        for below in part:
            yield from _references(below)
