"""The series that an expression reads, each as a query of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser


def selectors(expression: str) -> list[str]:
    """Every vector selector of an expression, without its offset and range, in order and once each. Raises ValueError
    for what is no PromQL."""
    found = dict.fromkeys(f"{node.name or ''}{_matchers(node)}" for node in _nodes(promql_parser.parse(expression)))
    return list(found)


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "args"):
        inner = getattr(node, name, None)
        for one in inner if isinstance(inner, list) else [inner]:
            if one is not None:
                yield from _nodes(one)


def _matchers(node: Any) -> str:
    text = str(node.matchers)
    return text if text != "{}" else ""
