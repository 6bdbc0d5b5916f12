"""An expression as a tree: what stands in it, and what stands around each part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser


def walk(expression: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node of an expression with its parents, the nearest last. Raises ValueError for what is no PromQL."""
    yield from _below(promql_parser.parse(expression), ())


def _below(node: Any, parents: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    yield node, parents
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "args"):
        inner = getattr(node, name, None)
        for one in inner if isinstance(inner, list) else [inner]:
            if one is not None:
                yield from _below(one, (*parents, node))


def matchers(selector: Any) -> dict[str, tuple[Any, str]]:
    """Operator and value of each matcher of a vector selector, by label."""
    return {one.name: (one.op, one.value) for one in selector.matchers.matchers}
