"""API keys: who calls, and what they may use. Only SHA-256 digests are stored.

Keys are 256 random bits, so that a plain hash is enough: there is nothing to guess that a slow hash would protect
(OWASP's advice on slow hashes is for passwords that people choose).
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from math import inf
from pathlib import Path
from time import time as epoch
from typing import Annotated, NamedTuple

from pydantic import ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from serve.errors import DescriptionError, Problem, Unauthenticated
from serve.fleet import yaml
from serve.fleet.base import Frozen, ModelId, Usd
from serve.fleet.loader import problems_of
from serve.gateway.ledger.period import Every

PREFIX = "pk-"
_MAX_KEY_BYTES = 512
DEFAULT_CLASS = "default"
# Values of the label `tenant_class`.
MAX_CLASSES = 16

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Key(Frozen):
    """One key of the keys file."""

    name: Name = Field(description="What logs call it; never the key.")
    tenant: Name = Field(description="Whom its requests belong to.")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    models: tuple[ModelId, ...] | None = Field(default=None, description="Models it may use; None: all.")
    expires: date | None = Field(default=None, description="First day on which it no longer works (UTC).")
    revoked: bool = False


class Tenant(Frozen):
    """What is said of a tenant beyond its keys."""

    model_config = ConfigDict(serialize_by_alias=True)

    tenant_class: Name = Field(default=DEFAULT_CLASS, alias="class", description="Groups tenants in metrics.")
    budget_usd: Usd | None = Field(default=None, description="What it may spend in a period; None: no limit.")
    period: Every = Field(default=Every.MONTH, description="When the budget begins anew, in UTC.")


class KeysFile(Frozen):
    """`keys.yaml`."""

    version: int = 1
    tenants: dict[Name, Tenant] = Field(
        default_factory=dict, description="Class and budget by name; a tenant that is not here has no budget."
    )
    keys: tuple[Key, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Every tenant once: those of `tenants`, then those of keys, in the order in which they stand here."""
        return tuple(dict.fromkeys((*self.tenants, *(key.tenant for key in self.keys))))

    @model_validator(mode="after")
    def _few_classes(self) -> KeysFile:
        classes = {tenant.tenant_class for tenant in self.tenants.values()} | {DEFAULT_CLASS}
        if len(classes) > MAX_CLASSES:
            raise ValueError(
                f"tenants: {len(classes)} classes, {DEFAULT_CLASS!r} included; at most {MAX_CLASSES} are allowed, for "
                "each makes series of its own in the metrics"
            )
        return self

    @field_validator("keys")
    @classmethod
    def _unique(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        for field in ("name", "sha256"):
            counted = Counter(getattr(k, field) for k in keys)
            twice = sorted(value for value, count in counted.items() if count > 1)
            if twice:
                raise ValueError(f"{field} {twice[0]} stands here twice")
        return keys


class Caller:
    """Who sent a request."""

    __slots__ = ("key", "models", "tenant", "tenant_class")

    def __init__(self, tenant: str, key: str, models: frozenset[str] | None, tenant_class: str = DEFAULT_CLASS) -> None:
        self.tenant = tenant
        self.key = key
        self.models = models
        self.tenant_class = tenant_class


ANYONE = Caller("anonymous", "", None)  # no keys are configured: loopback only


class KeyRefused(Unauthenticated):
    """No key, or one that does not work. `reason` (missing, unknown, expired, revoked) is for operators: a caller is
    not told whether a key that does not work ever did."""

    def __init__(self, message: str, reason: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.reason = reason


class _Known(NamedTuple):
    """A key of the file. `until` is when it stops to work, in seconds since the epoch."""

    caller: Caller
    until: float
    revoked: bool


class Keyring:
    """The keys of a gateway. `identify` is called once a request."""

    def __init__(self, file: KeysFile | None, now: Callable[[], float] = epoch) -> None:
        """`file`: None where no keys are configured; `now` gives seconds since the epoch."""
        self._open = file is None
        self._now = now
        self._by_digest: dict[bytes, _Known] = {}
        file = file or KeysFile()
        for key in file.keys:
            allowed = frozenset(key.models) if key.models is not None else None
            tenant = file.tenants.get(key.tenant)
            caller = Caller(key.tenant, key.name, allowed, tenant.tenant_class if tenant else DEFAULT_CLASS)
            self._by_digest[bytes.fromhex(key.sha256)] = _Known(caller, _midnight(key.expires), key.revoked)
        self._expiring = sorted(
            (known.until, known.caller.tenant)
            for known in self._by_digest.values()
            if known.until < inf and not known.revoked
        )

    @property
    def open(self) -> bool:
        """Whether anyone may call, because no keys are configured."""
        return self._open

    def __len__(self) -> int:
        now = self._now()
        return sum(not known.revoked and now < known.until for known in self._by_digest.values())

    def expiries(self) -> dict[str, float]:
        """When the next of a tenant's working keys expires, in seconds since the epoch, by tenant; the soonest first.
        Tenants whose keys do not expire, or none of whose keys works, are absent."""
        now = self._now()
        soonest: dict[str, float] = {}
        for until, tenant in self._expiring:
            if until > now:
                soonest.setdefault(tenant, until)
        return soonest

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request with these headers (names in lower case). Raises KeyRefused."""
        if self._open:
            return ANYONE
        given = headers.get(b"authorization")
        if given is not None:
            scheme, _, key = given.partition(b" ")
            key = key.strip() if scheme.lower() == b"bearer" else b""
        else:
            key = headers.get(b"x-api-key", b"")  # as Anthropic's clients send it
        if not key:
            raise KeyRefused("no API key: send `Authorization: Bearer KEY`", "missing", code="missing_api_key")
        reason = "unknown"
        if len(key) <= _MAX_KEY_BYTES:
            digest = hashlib.sha256(key).digest()
            known = self._by_digest.get(digest)
            # Found by digest: how long that takes depends on the hash of what was sent, which says nothing about how
            # near the sent key is to a stored one. So there is no comparison of secrets to time.
            if known is not None:
                if not known.revoked and (known.until == inf or self._now() < known.until):
                    return known.caller
                reason = "revoked" if known.revoked else "expired"
        raise KeyRefused("the API key is not known, has expired or was revoked", reason)


def _midnight(day: date | None) -> float:
    """The beginning of that day in UTC, in seconds since the epoch; None: never."""
    return inf if day is None else datetime.combine(day, time(), UTC).timestamp()


def load_keys(path: Path) -> KeysFile:
    """The keys and tenants of a file. Raises DescriptionError with every problem."""
    raw = yaml.read(path)
    try:
        return KeysFile.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        raise DescriptionError(str(path), problems_of(error)) from error
    except RecursionError as error:
        raise DescriptionError(str(path), [Problem("", "", "nested too deeply")]) from error


def new_key() -> tuple[str, str]:
    """A fresh key and its SHA-256 digest in hex. The key is shown once and stored nowhere."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()
