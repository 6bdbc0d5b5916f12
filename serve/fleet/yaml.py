"""YAML as a person means it: duplicate keys and syntax errors are problems with a line, not surprises.

The words of YAML 1.2's core schema: `true`, `false`, `null`, decimal, 0o and 0x integers, floats. `no` is Norwegian,
`on` is a word, a date is text, 010 is ten and 1e5 a number. Anchors, aliases, merge keys and tags are refused: a few
lines of them can expand without bound, and none of them is needed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from serve.errors import DescriptionError, Problem

MAX_BYTES = 4 * 1024 * 1024
# The deepest that a description goes is 7 (models, entry, card, quality, language, figure).
MAX_DEPTH = 64
# More than Python converts, and far more than any field takes.
MAX_DIGITS = 400


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's words, without what expands, nests without end or hides a key."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _wrong(event, "YAML aliases (*name) are not supported")
        if event.tag is not None:
            raise _wrong(event, f"YAML tags ({event.tag}) are not supported")
        if event.anchor is not None:
            raise _wrong(event, f"YAML anchors (&{event.anchor}) are not supported")
        if self.depth >= MAX_DEPTH:
            raise _wrong(event, f"nested more than {MAX_DEPTH} deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
            except TypeError as error:
                raise _wrong(key_node, "a key must be a word") from error
            if twice:
                raise _wrong(key_node, f"key {key!r} stands here twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def integer(self, node: Any) -> int:
        """Decimal whatever zeros stand in front, 0o and 0x as they say."""
        text = str(self.construct_scalar(node))
        if len(text) > MAX_DIGITS:
            raise _wrong(node, f"a number of {len(text)} digits: at most {MAX_DIGITS} are allowed")
        base = {"0x": 16, "0o": 8}.get(text.lower()[:2], 10)
        return int(text, base)

    def number(self, node: Any) -> float:
        """A float of YAML 1.2; `.inf` and `.nan` are, too, and fields refuse them."""
        return float(str(self.construct_scalar(node)).replace(".inf", "inf").replace(".nan", "nan"))


def _wrong(at: Any, what: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, what, at.start_mark)


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ["~", "n", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+0123456789."),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor(_TAG + "int", _Loader.integer)
_Loader.add_constructor(_TAG + "float", _Loader.number)


def parse(text: str, source: str) -> Any:
    """The value of a YAML text. Raises DescriptionError with line and column."""
    if len(text) > MAX_BYTES:
        raise DescriptionError(source, [Problem("", f"{len(text)} characters", f"at most {MAX_BYTES} are allowed")])
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - _Loader is a SafeLoader
    except RecursionError as error:
        raise DescriptionError(source, [Problem("", "", "nested too deeply")]) from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise DescriptionError(source, [Problem(where, "", str(what))]) from error


def read(path: Path) -> Any:
    """The value of a YAML file. Raises DescriptionError, also when it cannot be read."""
    try:
        with path.open("rb") as file:
            # One byte more than is allowed tells a file that is too long, whatever its length.
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DescriptionError(str(path), [Problem("", "", f"longer than {MAX_BYTES} bytes")])
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DescriptionError(str(path), [Problem("", "", "no such file")]) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(f"line {line}", f"byte 0x{content[error.start]:02x}", "the file must be UTF-8")
        raise DescriptionError(str(path), [problem]) from error
    except OSError as error:
        raise DescriptionError(str(path), [Problem("", "", f"cannot be read: {error.strerror or error}")]) from error
    return parse(text, str(path))
