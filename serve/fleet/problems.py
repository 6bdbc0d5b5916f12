"""What pydantic found wrong, in the words of whoever wrote the file: the path, the value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from serve.errors import Problem
from serve.fleet.base import PATTERNS

# A value whose field is called so is never repeated: errors are logged and pasted into tickets.
_SECRET = re.compile(r"(?i)key|secret|token|password|credential|^env$")
_SECRET_EXCEPTIONS = re.compile(r"_(tokens|bytes|file|env|id|ids|s)$|^tokenizer$")

_USER_INFO = re.compile(r"//[^/@\s]+@")

_WORDS = {
    "missing": "is required",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text (a number goes into quotes)",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "invalid_key": "a name must be text; put it into quotes",
    "none_required": "must be left out",
    "finite_number": "a finite number",
}


def problems_of(
    error: ValidationError, prefix: str = "", raw: Any = None, model: type[BaseModel] | None = None
) -> list[Problem]:
    """A pydantic error as problems, one a field: what several members of a union say is joined.

    `raw` is what was validated: with it, the union's members are told from field names. `model` is what it was
    validated against: with it, an unknown field is answered with the known ones.
    """
    found: dict[tuple[int | str, ...], tuple[str, list[str]]] = {}
    for item in error.errors(include_url=False):
        kind, location = item["type"], item["loc"]
        if kind == "too_short" and item["input"]:
            continue  # pydantic counts what was valid: that nothing was is already said
        if raw is not None:
            location = _in_file(location, raw, kind)
        pattern = item.get("ctx", {}).get("pattern")
        said = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        allowed = PATTERNS.get(str(pattern)) or _WORDS.get(kind) or said
        if kind == "extra_forbidden":
            allowed = _known_fields(location, model)
        # A check of a whole part (`Replicas`) names the values itself; and the parent of what is missing is no value.
        whole = kind == "missing" or (kind in ("value_error", "assertion_error") and isinstance(item["input"], Mapping))
        value = "" if whole else _value(location, item["input"])
        _, sayings = found.setdefault(location, (value, []))
        if allowed not in sayings:
            sayings.append(allowed)
    return [Problem(dotted(place, prefix), value, ", or ".join(said)) for place, (value, said) in found.items()]


def dotted(location: Sequence[int | str], prefix: str = "") -> str:
    """`("models", 0, "id")` as `models[0].id`."""
    path = prefix
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith(("function-", "constrained-", "lax-or-strict", "is-instance", "[key]")):
            path += f".{part}" if path else part
    return path


def shown(value: Any) -> str:
    """A value short enough for one line of an error. What a container holds is not repeated: it may be a secret."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 70 digits"
    text = _USER_INFO.sub("//(not shown)@", repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _value(location: Sequence[int | str], value: Any) -> str:
    names = [part for part in location if isinstance(part, str)]
    if any(_SECRET.search(name) and not _SECRET_EXCEPTIONS.search(name) for name in names[-2:]):
        return "(not shown)"
    return shown(value)


def _in_file(location: Sequence[int | str], raw: Any, kind: str) -> tuple[int | str, ...]:
    """The parts of a pydantic location that lead through `raw`: the rest are names of union members."""
    here, path = raw, []
    for index, part in enumerate(location):
        inside: Any = here if isinstance(here, Mapping | list | tuple) else ()
        if part in (inside if isinstance(inside, Mapping) else range(len(inside))):
            here = inside[part]
        elif not (kind == "missing" and index == len(location) - 1):
            continue
        path.append(part)
    return tuple(path)


def _known_fields(location: Sequence[int | str], model: type[BaseModel] | None) -> str:
    parent = _model_at(location[:-1], model) if model else None
    return f"no such field; known are: {', '.join(parent.model_fields)}" if parent else "no such field"


def _model_at(location: Sequence[int | str], model: type[BaseModel]) -> type[BaseModel] | None:
    """The model that validates what stands at `location`, None where it cannot be told."""
    here: Any = model
    for part in location:
        field = here.model_fields.get(str(part)) if isinstance(here, type) and issubclass(here, BaseModel) else None
        if field is not None:
            here = field.annotation
            continue
        members = [other for other in _members(here) if get_origin(other) in (tuple, list, dict)]
        if not members:
            nested = [m for m in _members(here) if isinstance(m, type) and issubclass(m, BaseModel)]
            if not nested or part not in nested[0].model_fields:
                return None
            here = nested[0].model_fields[str(part)].annotation
            continue
        arguments = get_args(members[0])
        here = arguments[1] if get_origin(members[0]) is dict else arguments[0]
    models = [member for member in _members(here) if isinstance(member, type) and issubclass(member, BaseModel)]
    return models[0] if models else None


def _members(annotation: Any) -> Iterator[Any]:
    """An annotation without Annotated and unions around it."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation
