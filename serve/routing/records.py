"""What a choice is made from, and the record that it leaves: headers, logs, /v1/route and replay read the same one.

The records are msgspec structs: a frozen dataclass of eight fields takes ten times as long to make, and a decision
makes one for every model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from serve.fleet.routing import Floor


class Endpoint(StrEnum):
    """The API that a request came in by."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"


class Ability(StrEnum):
    """What a request needs of a model beyond text in its language."""

    TOOLS = "tools"
    SYSTEM_ROLE = "system_role"
    TOOL_ROLE = "tool_role"
    EMBEDDINGS = "embeddings"


class Rejection(StrEnum):
    """Why a model was not a candidate."""

    CONTEXT_TOO_SMALL = "context_too_small"
    NO_CHAT_TEMPLATE = "no_chat_template"
    MISSING_ABILITY = "missing_ability"
    LANGUAGE_NOT_COVERED = "language_not_covered"
    BELOW_FLOOR = "below_floor"
    OVER_MAX_COST = "over_max_cost"
    NOT_ALLOWED = "not_allowed"
    NO_CAPACITY = "no_capacity"
    UNHEALTHY = "unhealthy"


class Mode(StrEnum):
    """How the model was named."""

    AUTO = "auto"
    EXACT = "exact"
    ALIAS = "alias"


class LanguageSource(StrEnum):
    """What the language was taken from."""

    HINT = "hint"
    SCRIPT = "script"
    TEXT = "text"
    EARLIER = "earlier_turns"
    PRIOR = "prior"
    NONE = "none"  # nothing to go by: the language is `other`


class Hints(msgspec.Struct, frozen=True):
    """What the caller said in `parlance: {...}` or `x-parlance-*`. None: nothing said."""

    language: str | None = None
    task: str | None = None
    quality_floor: Floor | None = None
    max_cost_usd: float | None = None
    models: tuple[str, ...] | None = None
    session: str | None = None


class Request(msgspec.Struct, frozen=True):
    """What the choice needs of a request: no body, no headers, nobody's name.

    `text` is what the language is read from (the last user turn, capped by the caller), `earlier` the user turns
    before it, newest first, `instructions` the system prompt. `characters` counts everything that becomes prompt
    tokens. `max_output_tokens` is the caller's own cap.
    """

    model: str = "auto"
    endpoint: Endpoint = Endpoint.CHAT
    text: str = ""
    earlier: tuple[str, ...] = ()
    instructions: str = ""
    characters: int = 0
    turns: int = 1
    max_output_tokens: int | None = None
    choices: int = 1
    needs: frozenset[Ability] = frozenset()
    hints: Hints = Hints()
    allowed_models: frozenset[str] | None = None


@dataclass(slots=True)
class ModelState:
    """What is known of a model at this moment."""

    healthy: bool = True
    reason: str = ""
    has_capacity: bool = True
    in_flight: int = 0
    # Of this model's recent answers, where they are comparable with the other models'; None: not known. The gateway
    # leaves it at None: means over different traffic would make whoever got the short questions look cheap.
    mean_output_tokens: float | None = None


Live = Mapping[str, ModelState]  # by model id; a model that is absent counts as healthy and idle


class Language(msgspec.Struct, frozen=True):
    """What language a text is in: a posterior over BCP-47 tags and `other`, never a bare label.

    `tag` is its most probable entry, or `other` when that one is not probable enough. `answer` is the language that
    the reply is asked for in; the same as `tag` unless the text asks for another.
    """

    tag: str
    posterior: tuple[tuple[str, float], ...]  # descending; sums to 1
    answer: str
    source: LanguageSource
    abstained: bool = False


class Candidate(msgspec.Struct, frozen=True):
    """One model as the choice saw it. Costs are expectations in USD."""

    model: str
    cost_usd: float
    input_tokens: int
    output_tokens: int
    quality: float | None  # index points against the reference; None: no evidence
    quality_status: str  # EvidenceStatus, "reference" or "none"
    rejection: Rejection | None = None
    detail: str = ""


class Decision(msgspec.Struct, frozen=True):
    """The choice and everything that it followed from. `model` is None when no model may take the request."""

    model: str | None
    requested: str
    mode: Mode
    language: Language
    floor: float
    reason: str
    reason_code: str  # bounded set, for metrics: see serve.routing.policy.REASONS
    candidates: tuple[Candidate, ...]
    ranking: tuple[str, ...]  # the models that may take it, best first; the gateway retries down this list
    decided_at: float  # the `now` that was passed in, seconds since the epoch
    fallback: bool = False
    notes: tuple[str, ...] = ()
