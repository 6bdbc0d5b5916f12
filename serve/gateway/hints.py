"""What a caller may say about the choice: `parlance: {...}` in the body, or `x-parlance-*` headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from serve.errors import BadRequest
from serve.fleet.routing import Preset
from serve.fleet.tasks import Task
from serve.gateway import parameters
from serve.routing.records import Hints
from serve.routing.tags import normal


class _HintsBody(msgspec.Struct, forbid_unknown_fields=True):
    language: str | None = None
    task: str | None = None
    quality_floor: Literal["economy", "balanced", "best"] | float | None = None
    max_cost_usd: float | None = None
    models: list[str] | None = None
    session: str | None = None


_TASKS = tuple(task.value for task in Task)

_hints = msgspec.json.Decoder(_HintsBody | None)


def read_hints(raw: msgspec.Raw | None, headers: Mapping[bytes, bytes]) -> Hints:
    """Hints of the body; where it says nothing, of the `x-parlance-*` headers."""
    body = _HintsBody()
    if raw is not None:
        body = parameters.typed(_hints, {"parlance": raw}, "parlance") or body
    if raw is None and not any(name.startswith(b"x-parlance-") for name in headers):
        return _NO_HINTS
    floor: Any = body.quality_floor
    if floor is None:
        floor = _header_floor(headers)
    cost = body.max_cost_usd if body.max_cost_usd is not None else _header_number(headers, "max-cost-usd")
    language = body.language or _header(headers, "language")
    if language is not None and normal(language) is None:
        raise BadRequest(
            f"parlance.language: {parameters.shown(language)} is not a BCP-47 tag such as nb or zh-Hant",
            param="parlance.language",
        )
    if cost is not None and not 0 <= cost < 1e6:
        raise BadRequest(f"parlance.max_cost_usd: {cost} is out of range: 0 or more", param="parlance.max_cost_usd")
    if isinstance(floor, float) and not -100 <= floor <= 100:
        raise BadRequest(
            f"parlance.quality_floor: {floor} is out of range: -100 to 100", param="parlance.quality_floor"
        )
    models = body.models or [m.strip() for m in (_header(headers, "models") or "").split(",") if m.strip()] or None
    task = body.task or _header(headers, "task")
    if task is not None and task not in _TASKS:
        raise BadRequest(
            f"parlance.task: {parameters.shown(task)} is no task: {', '.join(_TASKS)} are allowed",
            param="parlance.task",
        )
    return Hints(
        language=language,
        task=task,
        quality_floor=Preset(floor) if isinstance(floor, str) else floor,
        max_cost_usd=cost,
        models=tuple(models) if models else None,
        session=(body.session or _header(headers, "session") or "")[:256] or None,
    )


_NO_HINTS = Hints()


def _header(headers: Mapping[bytes, bytes], name: str) -> str | None:
    value = headers.get(b"x-parlance-" + name.encode())
    return value.decode("latin-1").strip() or None if value else None


def _header_number(headers: Mapping[bytes, bytes], name: str) -> float | None:
    value = _header(headers, name)
    if value is None:
        return None
    try:
        return float(value)
    except ValueError as error:
        raise BadRequest(f"x-parlance-{name}: {parameters.shown(value)} is not a number") from error


def _header_floor(headers: Mapping[bytes, bytes]) -> str | float | None:
    value = _header(headers, "quality-floor")
    return value if value in set(Preset) else _header_number(headers, "quality-floor")
