"""YAML as a person means it: duplicate keys and syntax errors are problems with a line, not surprises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from serve.errors import DescriptionError, Problem

MAX_BYTES = 4 * 1024 * 1024


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and anchors (a few lines of which can expand without bound)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "YAML aliases (*name) are not supported", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
            except TypeError as error:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a word", key_node.start_mark
                ) from error
            if twice:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _wrong(node: Any, what: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


# `no` is Norwegian here, and `on` a word: only true and false are booleans (as in YAML 1.2).
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DescriptionError(str(path), [Problem("", "", "no such file")]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(str(path), [Problem("", "", f"cannot be read: {error}")]) from error
    return parse(text, str(path))
