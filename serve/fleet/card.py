"""A model card: what is true of a model wherever it runs. The catalogue ships one a file."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from serve.fleet.base import Frozen, Tag, Usd
from serve.fleet.tasks import Task


class Kind(StrEnum):
    """What a model was trained to do with a prompt."""

    CHAT = "chat"
    REASONING = "reasoning"  # chat, with a <think> part that multiplies the output tokens
    BASE = "base"  # continues text; no chat template


class Role(StrEnum):
    """Roles that a chat template accepts."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class EvidenceStatus(StrEnum):
    """How far a quality figure can be trusted. No evidence is the absence of an entry, never a zero."""

    MEASURED = "measured"  # five or more tasks; for one task's figure: every benchmark family that it is read from
    PARTIAL = "partial"  # two to four tasks; or some of the families
    PROXY = "proxy"  # measured on the model that this one was tuned from
    DECLARED = "declared"  # the maker says so
    OWN = "own"  # given by the fleet's owner


class Licence(Frozen):
    """Under what terms the weights may be used."""

    name: str
    url: str | None = None
    gated: bool = Field(description="Whether the hub asks for an account that accepted the terms.")
    note: str | None = None


class Architecture(Frozen):
    """The numbers that memory and parallelism follow from, as in the model's config.json."""

    class_name: str = Field(description="The transformers/vLLM architecture, e.g. LlamaForCausalLM.")
    parameters: int = Field(gt=0)
    layers: int = Field(gt=0)
    hidden: int = Field(gt=0)
    ffn: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    vocab: int = Field(gt=0)
    tied_embeddings: bool = False
    sliding_window_tokens: int | None = Field(default=None, gt=0)
    sliding_window_layers: int = Field(default=0, ge=0)
    rope_theta: float = Field(default=10_000.0, gt=0)
    attention_softcap: float | None = None
    final_softcap: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Architecture:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.sliding_window_layers > self.layers:
            raise ValueError(f"sliding_window_layers ({self.sliding_window_layers}) exceeds layers ({self.layers})")
        return self

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Bytes of KV cache that one token takes over all layers: keys and values, `kv_heads` x `head_dim` each."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_value


class Template(Frozen):
    """What the chat template can render. A model without one serves /v1/completions only."""

    roles: tuple[Role, ...] = (Role.SYSTEM, Role.USER, Role.ASSISTANT)
    tools: bool = False
    fixed_tokens: int = Field(
        default=0, ge=0, le=10_000, description="Tokens that it adds to every prompt beside those around each turn."
    )
    stop_token_ids: tuple[int, ...] = ()


class Price(Frozen):
    """USD per million tokens. `status` says whether anyone sells this model at it."""

    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd
    cached_input_usd_per_mtok: Usd | None = Field(
        default=None,
        description="Default: a quarter of the input price on engines of one's own, the input price elsewhere.",
    )
    status: Literal["list", "proxy", "own"] = "own"
    source: str = "the fleet description"
    date: str | None = None

    @model_validator(mode="after")
    def _cached_is_cheaper(self) -> Price:
        cached = self.cached_input_usd_per_mtok
        if cached is not None and cached > self.input_usd_per_mtok:
            raise ValueError(f"cached_input_usd_per_mtok ({cached}) must not exceed input ({self.input_usd_per_mtok})")
        return self


class TaskQuality(Frozen):
    """Evidence for one task in one language, in the same points as `Quality`."""

    delta: float = Field(ge=-100, le=100)
    low: float | None = Field(default=None, ge=-200, le=200)
    high: float | None = Field(default=None, ge=-200, le=200)
    status: EvidenceStatus = EvidenceStatus.OWN
    source: str = "the fleet description"

    @model_validator(mode="after")
    def _ordered(self) -> TaskQuality:
        _order(self.delta, self.low, self.high)
        return self


class Quality(Frozen):
    """Evidence in one language: index points (0-100) against the reference model on the same benchmarks.

    `delta` is over the generative tasks; None where only single tasks have a figure. `low` and `high` bound the 95%
    interval; None where the source gives none.
    """

    # What `_one_figure_at_least` refuses, the schema refuses.
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["delta"]}, {"required": ["tasks"]}]})

    delta: float | None = Field(default=None, ge=-100, le=100, description="Needed unless `tasks` has a figure.")
    low: float | None = Field(default=None, ge=-200, le=200)
    high: float | None = Field(default=None, ge=-200, le=200)
    status: EvidenceStatus = EvidenceStatus.OWN
    source: str = "the fleet description"
    tasks: dict[Task, TaskQuality] = Field(
        default_factory=dict, description="By task; a task that is absent counts as `delta` says."
    )

    @model_validator(mode="after")
    def _one_figure_at_least(self) -> Quality:
        if self.delta is None and not self.tasks:
            raise ValueError("give delta, or a figure under tasks")
        if self.delta is None and (self.low is not None or self.high is not None):
            raise ValueError("low and high need a delta between them")
        _order(self.delta, self.low, self.high)
        return self


def _order(delta: float | None, low: float | None, high: float | None) -> None:
    if delta is None:
        return
    if low is not None and low > delta:
        raise ValueError(f"low ({low}) must not exceed delta ({delta})")
    if high is not None and high < delta:
        raise ValueError(f"high ({high}) must not lie below delta ({delta})")


class ModelCard(Frozen):
    """Everything about a model that does not depend on who runs it, each fact with its source."""

    title: str
    source: str | None = Field(default=None, description="Hub repository of the weights.")
    revision: str | None = Field(default=None, description="Commit of the hub repository; None: its main branch.")
    kind: Kind = Kind.CHAT
    licence: Licence
    architecture: Architecture | None = Field(default=None, description="None for models that others run.")
    context_tokens: int = Field(gt=0, description="Prompt and output together.")
    languages_declared: tuple[Tag, ...] = Field(description="What the maker claims. `no` stands for nb and nn.")
    template: Template | None = None
    tokenizer: str = Field(description="Fertility family: a column of catalogue/fertility.tsv.")
    tool_parser: str | None = Field(default=None, description="vLLM's --tool-call-parser.")
    reasoning_parser: str | None = Field(default=None, description="vLLM's --reasoning-parser.")
    price: Price | None = None
    quality: dict[Tag, Quality] = Field(default_factory=dict, description="By language; absent means unknown.")
    successor: str | None = None
    notes: tuple[str, ...] = ()
    sources: dict[str, str] = Field(default_factory=dict, description="Field name to where its value comes from.")

    @model_validator(mode="after")
    def _template_follows_kind(self) -> ModelCard:
        if (self.kind is Kind.BASE) != (self.template is None):
            raise ValueError("template must be given for chat and reasoning models, and left out for base models")
        if self.tool_parser and (self.template is None or not self.template.tools):
            raise ValueError("tool_parser needs a template with tools: true")
        return self

    @property
    def chats(self) -> bool:
        """Whether /v1/chat/completions makes sense for this model."""
        return self.template is not None
