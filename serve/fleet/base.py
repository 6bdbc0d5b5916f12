"""What every part of the description shares: frozen models that forbid unknown fields, and the small types."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator


class Frozen(BaseModel):
    """A part of the description: immutable, and an unknown field is an error (a typo must not pass silently)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python's True is 1, and pydantic takes it for a number: `port: true` would be port 1."""
        if isinstance(value, bool):
            leaves = set(_leaves(cls.model_fields[info.field_name or ""].annotation))
            if leaves & {int, float} and bool not in leaves:
                raise ValueError("a number; true and false are none")
        return value


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types of an annotation, out of unions and Annotated; containers are leaves."""
    if get_origin(annotation) is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _leaves(member)
    else:
        yield annotation


# What the patterns below mean, for errors; kept beside them so that neither changes alone.
PATTERNS: dict[str, str] = {}


def _pattern(regex: str, meaning: str) -> StringConstraints:
    PATTERNS[regex] = meaning
    return StringConstraints(pattern=regex)


# Lower-case primary subtag, optional script: the part of BCP-47 (RFC 5646) that routing distinguishes.
Tag = Annotated[str, _pattern(r"^[a-z]{2,3}(-[A-Z][a-z]{3})?$", "a language tag such as nb or sr-Latn")]

# A model's name is a URL path segment, a Ray application name and a metric label at once.
ModelId = Annotated[
    str,
    _pattern(
        r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$",
        "at most 63 lower-case letters, digits, dots, dashes and underscores, a letter or digit at both ends",
    ),
]

# What a client may write in `model`: hub ids carry slashes and capitals.
Alias = Annotated[
    str,
    _pattern(
        r"^[A-Za-z0-9]([A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?$",
        "at most 128 letters, digits and . _ : / -, a letter or digit at both ends",
    ),
]

HttpUrl = Annotated[
    str,
    _pattern(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        "http:// or https://, a host, perhaps a port and a path; no user, query or fragment",
    ),
]

# As a browser writes it in Host: lower case, no port.
HostName = Annotated[
    str,
    _pattern(
        r"^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$",
        "a host's name in lower-case letters, digits, dashes and dots, without a port",
    ),
]

EnvName = Annotated[str, _pattern(r"^[A-Za-z_][A-Za-z0-9_]*$", "an environment variable: letters, digits, underscores")]

# RFC 1123, as the API server checks the names of objects (subdomains) and of namespaces (labels).
KubernetesName = Annotated[
    str,
    _pattern(
        r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        "a Kubernetes name: at most 253 lower-case letters, digits, dots and dashes, a letter or digit at both ends",
    ),
]
Namespace = Annotated[
    str,
    _pattern(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "a namespace: at most 63 lower-case letters, digits and dashes, a letter or digit at both ends",
    ),
]

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]
Usd = Annotated[float, Field(ge=0, le=1_000_000)]
