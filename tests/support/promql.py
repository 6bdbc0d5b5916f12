"""What an expression reads, from the parsed text: a check that owes nothing to the code that wrote it."""

from __future__ import annotations

from typing import Any

import promql_parser


def selectors(text: str) -> list[tuple[str, set[str]]]:
    """Every selector of an expression: its name, and the labels that matchers and the `by`, `on` around it want of it.
    Raises ValueError for a text that does not parse."""
    return list(_walk(promql_parser.parse(text), frozenset()))


def _walk(node: Any, wanted: frozenset[str]) -> list[tuple[str, set[str]]]:
    match node:
        case promql_parser.VectorSelector():
            return [(node.name, {*wanted, *(m.name for m in node.matchers.matchers)})]
        case promql_parser.MatrixSelector():
            return _walk(node.vector_selector, wanted)
        case promql_parser.AggregateExpr():
            by = frozenset(node.modifier.labels) if node.modifier is not None else frozenset[str]()
            return _walk(node.expr, wanted | by)
        case promql_parser.BinaryExpr():
            matching = getattr(node.modifier, "matching", None)
            on = frozenset(matching.labels) if matching is not None else frozenset[str]()
            # What `on` names joins them; what an outer `by` wants comes from the left.
            return [*_walk(node.lhs, wanted | on), *_walk(node.rhs, on if matching is not None else wanted)]
        case promql_parser.Call() if node.func.name == "label_replace":
            inner, new, _, old, _ = node.args
            return _walk(inner, (wanted - {new.val}) | {old.val})
        case promql_parser.Call():
            return [found for argument in node.args for found in _walk(argument, wanted)]
        case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
            return _walk(node.expr, wanted)
        case _:
            return []
