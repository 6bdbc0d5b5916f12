"""What a choice is made from, and the record that it leaves: headers, logs, /v1/route and replay read the same one.

The records are msgspec structs: a frozen dataclass of eight fields takes ten times as long to make, and a decision
makes one for every model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from serve.fleet.routing import Floor
from serve.fleet.tasks import Task

Posterior = tuple[tuple[str, float], ...]  # (BCP-47 tag or `other`, probability), descending; sums to 1


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


# What a minute may change: a model that only this speaks against may take the next request.
NOT_UP = frozenset((Rejection.NO_CAPACITY, Rejection.UNHEALTHY))


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


class TaskSource(StrEnum):
    """What the task was taken from."""

    HINT = "hint"
    TEXT = "text"
    NONE = "none"


class Hints(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the caller said in `parlance: {...}` or `x-parlance-*`. None: nothing said."""

    language: str | None = None
    task: str | None = None
    quality_floor: Floor | None = None
    max_cost_usd: float | None = None
    models: tuple[str, ...] | None = None
    session: str | None = None


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
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
    mix: Posterior | None = None  # the tenant's languages of late; where it is None the fleet's `routing.prior` counts
    # Characters of this prompt that a model read in an earlier turn and may still have in its KV cache, by model id.
    cached_characters: Mapping[str, int] = {}
    structured_characters: int = 0  # of `characters`: JSON of tools and of calls, which no turn's text shows


class Counts(msgspec.Struct, frozen=True):
    """What tokens are counted from: `known` are tokens of common words by tokenizer, in hundredths and in the order of
    serve.fleet.lexicon.BASES; `rest` counts everything else, in the order of serve.routing.shape.FEATURES."""

    characters: int
    known: tuple[int, ...]
    rest: tuple[int, ...]


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """The prose and the code of a prompt's parts that were read, scaled up to their full length."""

    prose: Counts | None = None
    code: Counts | None = None


class Observed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request's text says, whatever fleet answers it. Replay starts from this: a log keeps no text.

    `own` is the posterior of the last user turn, `earlier` that of the turns before it (looked at only where `own`
    leaves a doubt); None says too little. `asked` is the language that an answer is asked for in (`no` where either
    Norwegian standard will do), `task` a guess with its probability.
    """

    script: str = ""  # ISO 15924 of most letters; empty: no letters
    own: Posterior | None = None
    by_script: bool = False  # the script alone settled `own`
    earlier: Posterior | None = None
    asked: str | None = None
    task: Task | None = None
    task_probability: float = 0.0
    shape: Shape | None = None  # None: an entry of a log that did not keep it


class MeasuredPrice(msgspec.Struct, frozen=True):
    """USD per token from GPU hours: `marginal` while replicas are warm and idle, `average` with idle time in it."""

    marginal_input_usd: float
    marginal_output_usd: float
    average_input_usd: float
    average_output_usd: float


@dataclass(slots=True)
class ModelState:
    """What is known of a model at this moment, by whoever watches it."""

    healthy: bool = True
    reason: str = ""
    has_capacity: bool = True
    in_flight: int = 0
    # Seconds that a request would wait here beyond what an idle engine takes.
    wait_s: float = 0.0
    # Prompt tokens that engines counted for each that was expected, by language tag: bounded, near 1.
    token_ratios: Mapping[str, float] = field(default_factory=dict)
    # Expected tokens of one answer by (language of the answer, task); comparable between models: made from the same
    # traffic (serve.routing.lengths).
    answer_tokens: Mapping[tuple[str, str], float] = field(default_factory=dict)
    # Index points to take off the evidence in a language, for replies in a wrong one.
    penalties: Mapping[str, float] = field(default_factory=dict)
    # USD per token at what this model's GPUs really served; None: the price of the description.
    measured: MeasuredPrice | None = None


Live = Mapping[str, ModelState]  # by model id; a model that is absent counts as healthy and idle


class Language(msgspec.Struct, frozen=True):
    """What language a text is in: a posterior over BCP-47 tags and `other`, never a bare label.

    `tag` is its most probable entry, or `other` when that one is not probable enough. `answer` is the language that
    the reply is asked for in; the same as `tag` unless the text asks for another.
    """

    tag: str
    posterior: Posterior
    answer: str
    source: LanguageSource
    abstained: bool = False


class Candidate(msgspec.Struct, frozen=True):
    """One model as the choice saw it. Costs are expectations in USD.

    `quality` is None without evidence; `quality_low` and `quality_high` bound its 95% interval where one is known.
    """

    model: str
    cost_usd: float
    input_tokens: int
    output_tokens: int
    quality: float | None  # index points against the reference; None: no evidence
    quality_status: str  # EvidenceStatus, "reference" or "none"
    rejection: Rejection | None = None
    detail: str = ""
    cached_tokens: int = 0  # of input_tokens: probably in its KV cache, and cheaper
    wait_s: float = 0.0
    quality_low: float | None = None
    quality_high: float | None = None


class Shift(msgspec.Struct, frozen=True, rename={"source": "from"}):
    """A share (above 0, at most 1) of what would go to `source` in one language that goes to `to`: the plan's."""

    source: str
    to: str
    share: float


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
    task: Task | None = None  # None: nothing speaks clearly; the mean of the generative tasks counts
    task_source: TaskSource = TaskSource.NONE
    shift: Shift | None = None  # of the plan, by which `model` was chosen
