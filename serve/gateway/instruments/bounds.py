"""What bounds the values of labels, and those that exist from the start: nothing that a client sends makes a series."""

from __future__ import annotations

from collections.abc import Iterable

from observability.labels import MAX_TENANTS, OTHER
from serve.fleet import Fleet, Model
from serve.gateway.auth import ANYONE, DEFAULT_CLASS, MAX_CLASSES
from serve.routing.tags import members

NO_MODEL = "none"  # of a request that reached none

# Every code that a caller can be told (a test holds them against the sources).
CODES = (
    "budget_reserved", "context_length_exceeded", "engine_connection_lost", "engine_error", "engine_stream_error",
    "engine_timeout", "engine_unavailable", "engine_unreachable", "headers_too_large", "incomplete_body",
    "insufficient_quota", "internal_error", "invalid_api_key", "invalid_http", "invalid_json", "invalid_type",
    "invalid_value", "method_not_allowed", "missing_api_key", "missing_required_parameter", "model_not_allowed",
    "model_not_found", "no_suitable_model", "not_allowed", "not_found", "overloaded", "request_timeout",
    "request_too_large", "unknown_url", "unsupported_content", "unsupported_encoding", "unsupported_parameter",
)  # fmt: skip
# What another attempt is made for (serve.gateway.job).
RETRIED = (
    "engine_connection_lost", "engine_stream_error", "engine_unavailable", "engine_unreachable", "overloaded",
    "wrong_language",
)  # fmt: skip
CLIENT_LEFT, ENGINE_FAILED, TIMEOUT, SLOW_CLIENT = "client_left", "engine_failed", "timeout", "slow_client"
ABORTS = (CLIENT_LEFT, ENGINE_FAILED, TIMEOUT, SLOW_CLIENT)
MODEL_NOT_ALLOWED = "model_not_allowed"
KEY_REFUSALS = ("missing", "unknown", "expired", "revoked", MODEL_NOT_ALLOWED)
STAYED, MOVED, NEW = "stayed", "moved", "new"
ANSWERED, REFUSED, FAILED, LEFT = "answered", "refused", "failed", "left"
WOKEN, FULL, DISPLACED, STOPPED = "woken", "full", "displaced", "stopped"
WAKING = (WOKEN, TIMEOUT, FULL, DISPLACED, LEFT, STOPPED)
FLAWS = ("unreachable", "malformed", "unknown_model", "stale")
OUTCOMES = (ANSWERED, REFUSED, FAILED, LEFT)


def languages_of_model(model: Model) -> frozenset[str]:
    """The languages that a model declares or was measured in."""
    return frozenset(part for tag in (*model.card.languages_declared, *model.card.quality) for part in members(tag))


def languages_of(fleet: Fleet) -> frozenset[str]:
    """The languages that any model of the fleet declares or was measured in: the values of a `language` label."""
    return frozenset(tag for model in fleet.models for tag in languages_of_model(model))


class Tenants:
    """Tenants as a label has them."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names` in the order of the keys file."""
        self._names = {name: name for name in list(dict.fromkeys(names))[:MAX_TENANTS]}
        self._names[ANYONE.tenant] = ANYONE.tenant

    @property
    def names(self) -> tuple[str, ...]:
        """Those with series of their own."""
        return tuple(self._names)

    def of(self, tenant: str) -> str:
        """The tenant, or `other`."""
        return self._names.get(tenant, OTHER)


class Classes:
    """Tenants' classes as a label has them. Only the keys file makes them; more than it may have are `other`."""

    def __init__(self) -> None:
        self._names = {DEFAULT_CLASS: DEFAULT_CLASS}

    def of(self, name: str) -> str:
        """The class, or `other`."""
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = name if len(self._names) < MAX_CLASSES else OTHER
        return found
