"""API keys: who calls, and what they may use. Only SHA-256 digests are stored.

Keys are 256 random bits, so that a plain hash is enough: there is nothing to guess that a slow hash would protect
(OWASP's advice on slow hashes is for passwords that people choose).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError, field_validator

from serve.errors import DescriptionError, Problem, Unauthenticated
from serve.fleet import yaml
from serve.fleet.base import Frozen, ModelId
from serve.fleet.loader import problems_of

PREFIX = "pk-"
_MAX_KEY_BYTES = 512
DEFAULT_CLASS = "default"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Key(Frozen):
    """One key of the keys file."""

    name: Name = Field(description="What logs call it; never the key.")
    tenant: Name = Field(description="Whom its requests belong to.")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    models: tuple[ModelId, ...] | None = Field(default=None, description="Models it may use; None: all.")
    expires: date | None = Field(default=None, description="First day on which it no longer works (UTC).")
    revoked: bool = False


class KeysFile(Frozen):
    """`keys.yaml`."""

    version: int = 1
    keys: tuple[Key, ...] = ()

    @field_validator("keys")
    @classmethod
    def _unique(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        for field in ("name", "sha256"):
            values = [getattr(k, field) for k in keys]
            twice = sorted({v for v in values if values.count(v) > 1})
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


class Keyring:
    """The keys of a gateway. `identify` is called once a request."""

    def __init__(self, keys: tuple[Key, ...] | None, today: date) -> None:
        self._open = keys is None
        self._by_digest: dict[bytes, Caller] = {}
        for key in keys or ():
            if not key.revoked and (key.expires is None or today < key.expires):
                allowed = frozenset(key.models) if key.models is not None else None
                self._by_digest[bytes.fromhex(key.sha256)] = Caller(key.tenant, key.name, allowed)

    @property
    def open(self) -> bool:
        """Whether anyone may call, because no keys are configured."""
        return self._open

    def __len__(self) -> int:
        return len(self._by_digest)

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request with these headers (names in lower case). Raises Unauthenticated."""
        if self._open:
            return ANYONE
        given = headers.get(b"authorization")
        if given is not None:
            scheme, _, key = given.partition(b" ")
            key = key.strip() if scheme.lower() == b"bearer" else b""
        else:
            key = headers.get(b"x-api-key", b"")  # as Anthropic's clients send it
        if not key:
            raise Unauthenticated("no API key: send `Authorization: Bearer KEY`", code="missing_api_key")
        if len(key) <= _MAX_KEY_BYTES:
            digest = hashlib.sha256(key).digest()
            caller = self._by_digest.get(digest)
            # Found by digest: how long that takes depends on the hash of what was sent, which says nothing about how
            # near the sent key is to a stored one. So there is no comparison of secrets to time.
            if caller is not None:
                return caller
        raise Unauthenticated("the API key is not known, has expired or was revoked")


def load_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file. Raises DescriptionError with every problem."""
    raw = yaml.read(path)
    try:
        return KeysFile.model_validate(raw if raw is not None else {}).keys
    except ValidationError as error:
        raise DescriptionError(str(path), problems_of(error)) from error
    except RecursionError as error:
        raise DescriptionError(str(path), [Problem("", "", "nested too deeply")]) from error


def new_key() -> tuple[str, str]:
    """A fresh key and its SHA-256 digest in hex. The key is shown once and stored nowhere."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()
