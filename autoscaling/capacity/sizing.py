"""What replicas do and cost before any is bought: one row for an engine and a mix of requests, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from autoscaling.capacity.lengths import context
from autoscaling.capacity.roofline import Roofline
from autoscaling.capacity.sustained import Mix, Sustained, at_objectives, sustained
from serve.fleet import Engine, Fleet, Model, ModelCard, memory
from serve.fleet.gpus import Gpu, gpus
from serve.fleet.shapes import DEGREES, architecture, kv_room_tokens, shape_problems, usd_per_hour
from serve.fleet.slo import Slo

HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Size:
    """One replica of `model` as `engine` describes it, at its limit for `mix`. `least` and `most` are the bounds of its
    replicas, None where no fleet says them. USD are an hour's, of all GPUs of a replica; None where no price is known.
    """

    model: str
    engine: Engine
    context_tokens: int
    mix: Mix
    kv_room_tokens: int
    sustained: Sustained
    within: bool
    usd_per_hour: float | None
    least: int | None = None
    most: int | None = None

    @property
    def stored(self) -> str:
        """How the weights are stored: `fp8`, or the data type."""
        return self.engine.quantization or self.engine.dtype

    @property
    def flattered(self) -> bool:
        """Whether its ranks talk over PCIe, and the roofline counts NVLink: it does less than is said here."""
        return self.engine.tensor_parallel > 1 and (gpus()[self.engine.gpu or ""].interconnect or "").startswith("PCIe")

    @property
    def held_back(self) -> bool:
        """Whether the description lets fewer requests into a replica than it could answer within the objectives."""
        return self.engine.max_ongoing_requests < int(self.sustained.sequences)

    @property
    def kv_sequences(self) -> float:
        """Requests of the mix whose KV cache fits, at the length that they have on average while they are answered."""
        return self.kv_room_tokens / context(self.mix.prompt, self.mix.output)

    @property
    def kv_contexts(self) -> float:
        """Requests of the longest accepted length whose KV cache fits."""
        return self.kv_room_tokens / self.context_tokens

    @property
    def requests_per_s(self) -> tuple[float, float] | None:
        """Of the fewest and of the most replicas together; None where no fleet says them."""
        return self._bounds(self.sustained.requests_per_s)

    @property
    def usd_per_hour_bounds(self) -> tuple[float, float] | None:
        """Of the fewest and of the most replicas together; None where no fleet says them, or without a price."""
        return None if self.usd_per_hour is None else self._bounds(self.usd_per_hour)

    @property
    def usd_per_mtok(self) -> float | None:
        """USD per million tokens, read and written, at full use; None without a price."""
        return self._usd_per_million(self.mix.prompt + self.mix.output)

    @property
    def usd_per_output_mtok(self) -> float | None:
        """USD per million tokens written, at full use: prompts paid for by the answers; None without a price."""
        return self._usd_per_million(self.mix.output)

    def _bounds(self, of_one: float) -> tuple[float, float] | None:
        if self.least is None or self.most is None:
            return None
        return self.least * of_one, self.most * of_one

    def _usd_per_million(self, tokens: float) -> float | None:
        if self.usd_per_hour is None:
            return None
        return self.usd_per_hour * 1e6 / (self.sustained.requests_per_s * tokens * HOUR_S)


@dataclass(frozen=True, slots=True)
class Unsized:
    """What has no row, and why, in words."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What a fleet's sized engines take at their fewest and at their most replicas; `unpriced` are left out of USD."""

    least_gpus: int
    most_gpus: int
    least_usd_per_hour: float
    most_usd_per_hour: float
    unpriced: tuple[str, ...]


def of_fleet(fleet: Fleet, mixes: Sequence[Mix]) -> tuple[list[Size], list[Unsized]]:
    """A row for each mix and model of the fleet, mix by mix; and what could not be computed."""
    sizes: list[Size] = []
    unsized: list[Unsized] = []
    able: list[Model] = []
    for model in fleet.models:
        if why := not_computable(model):
            unsized.append(Unsized(model.id, why))
        else:
            able.append(model)
    for mix in mixes:
        for model in able:
            engine = model.engine
            assert engine is not None
            if why := _too_long(mix, model.context_tokens):
                unsized.append(Unsized(model.id, why))
                continue
            bounds = engine.replicas.min, engine.replicas.max
            sizes.append(_size(model.id, model.card, engine, model.context_tokens, mix, fleet.slo, bounds))
    return sizes, unsized


def bill(fleet: Fleet) -> Bill:
    """The fleet's GPUs and what they cost an hour, whatever comes."""
    least = most = 0
    least_usd = most_usd = 0.0
    unpriced: list[str] = []
    for model in fleet.models:
        engine = model.engine
        if engine is None or engine.device != "gpu":
            continue
        bounds = engine.replicas
        least += bounds.min * engine.workers
        most += bounds.max * engine.workers
        if (usd := usd_per_hour(engine)) is None:
            unpriced.append(model.id)
            continue
        least_usd += bounds.min * usd
        most_usd += bounds.max * usd
    return Bill(least, most, least_usd, most_usd, tuple(unpriced))


def of_catalogue(cards: Mapping[str, ModelCard], mixes: Sequence[Mix], slo: Slo) -> tuple[list[Size], list[Unsized]]:
    """Every card on every known GPU, in bfloat16 and FP8: the smallest tensor-parallel degree with room for a full
    context, and the one with the cheapest tokens where that is another. Rows of a mix and model: cheapest tokens first;
    what misses an objective even alone, and what has no price, last.
    """
    sizes: list[Size] = []
    unsized: list[Unsized] = []
    fitting: dict[str, list[Engine]] = {}
    for name, card in cards.items():
        if card.architecture is None:
            unsized.append(Unsized(name, "its card has no architecture, from which memory and step times follow"))
            continue
        fitting[name] = []
        for gpu_name, gpu in gpus().items():
            engines = list(_shapes(card, gpu_name, gpu))
            fitting[name] += engines
            if not engines:
                unsized.append(Unsized(f"{name} on {gpu_name}", _why_nothing_fits(card, gpu_name, gpu)))
    for mix in mixes:
        for name, engines in fitting.items():
            card = cards[name]
            if why := _too_long(mix, card.context_tokens):
                unsized.append(Unsized(name, why))
                continue
            every = [_size(name, card, engine, card.context_tokens, mix, slo) for engine in engines]
            sizes += sorted(_sensible(every), key=_dearness)
    return sizes, unsized


def not_computable(model: Model) -> str | None:
    """Why there is no roofline of the model's replicas, as it stands after its name; None where there is one."""
    engine = model.engine
    if engine is None:
        assert model.upstream is not None
        return f"others run it ({model.upstream.base_url}): what it sustains is theirs to say"
    if engine.device != "gpu":
        return "it runs on CPUs, for which there is no roofline: measure it, and give replicas.tokens_per_s"
    if architecture(model.card, engine) is None:
        return "its card has no architecture, from which memory and step times follow"
    return None


def most_replicas(model: Model, windows: Iterable[tuple[float, Mix]], slo: Slo) -> float:
    """How many replicas at full use the busiest of some windows (requests a second, and their mix) takes.

    Raises ValueError for a model without a roofline.
    """
    most = 0.0
    for requests_per_s, mix in windows:
        if (done := sustained(model, mix, slo)) is None:
            raise ValueError(f"{model.id}: {not_computable(model)}")
        most = max(most, requests_per_s / done.requests_per_s)
    return most


def _size(
    name: str,
    card: ModelCard,
    engine: Engine,
    context_tokens: int,
    mix: Mix,
    slo: Slo,
    bounds: tuple[int, int] | tuple[None, None] = (None, None),
) -> Size:
    """Of an engine on GPUs whose architecture is known."""
    arch, gpu, room = architecture(card, engine), gpus()[engine.gpu or ""], kv_room_tokens(card, engine)
    assert arch is not None
    assert room is not None
    found = at_objectives(Roofline(arch, memory.layout(engine, gpu), gpu), mix, slo, room)
    within = found.itl_s <= slo.itl_s and found.ttft_s <= slo.ttft_s
    return Size(name, engine, context_tokens, mix, room, found, within, usd_per_hour(engine), *bounds)


def _too_long(mix: Mix, context_tokens: int) -> str | None:
    if mix.prompt + mix.output <= context_tokens:
        return None
    return (
        f"{mix.prompt:,.0f} prompt and {mix.output:,.0f} output tokens are more than the {context_tokens:,} tokens "
        "that it accepts"
    )


def _shapes(card: ModelCard, gpu_name: str, gpu: Gpu) -> Iterator[Engine]:
    """Every way to run the model on that GPU, by format and then by degree, that the description would accept."""
    for stored in ("fp8", None) if gpu.fp8 else (None,):
        for degree in DEGREES:
            engine = _engine(gpu_name, degree, stored)
            if not shape_problems(card, engine, ""):
                yield engine


def _engine(gpu_name: str, degree: int, stored: str | None) -> Engine:
    described: dict[str, Any] = {"gpu": gpu_name, "tensor_parallel": degree, "quantization": stored}
    return Engine.model_validate(described)


def _why_nothing_fits(card: ModelCard, gpu_name: str, gpu: Gpu) -> str:
    """What the description says of the largest shape that splits evenly, in the smallest format."""
    stored = "fp8" if gpu.fp8 else None
    whys: list[str] = []
    for degree in DEGREES:
        problems = shape_problems(card, _engine(gpu_name, degree, stored), "")
        if uneven := [problem for problem in problems if problem.path.endswith("tensor_parallel")]:
            whys.insert(0, uneven[0].allowed)
        else:
            whys.append(problems[0].allowed)
    return whys[-1]


def _sensible(sizes: Sequence[Size]) -> Iterator[Size]:
    """Of each GPU and format, whose degrees rise: the smallest, and the cheapest a token where that is another."""
    for _, group in groupby(sizes, key=lambda size: (size.engine.gpu, size.engine.quantization)):
        degrees = list(group)
        cheapest = min(degrees, key=_dearness)
        yield degrees[0]
        if cheapest is not degrees[0]:
            yield cheapest


def _dearness(size: Size) -> tuple[bool, bool, float]:
    usd = size.usd_per_mtok
    return not size.within, usd is None, usd if usd is not None else 0.0
