"""What the gateway learns from `usage`, and how it comes into decisions: token ratios, answer lengths, measured prices.

Nothing of it is on a request's path: finished requests are read in batches, what follows from them is put into the
models' state every `PUBLISH_S`, and is written to disk by a thread every `SAVE_S`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, time

from serve.fleet import Fleet, Model
from serve.fleet.card import Kind
from serve.gateway.instruments import Instruments, languages_of
from serve.gateway.record import Finished
from serve.gateway.state_file import Learnt, load, save
from serve.routing import tokens
from serve.routing.calibration import Calibration
from serve.routing.cost import REASONING_FACTOR, rates, usd_per_replica_hour
from serve.routing.decide import languages_of_text
from serve.routing.lengths import Lengths
from serve.routing.metered import Meter
from serve.routing.records import ModelState
from serve.routing.table import TEMPLATED
from serve.routing.tags import OTHER

log = logging.getLogger("parlance.gateway")

SAMPLE_S = 1.0
PUBLISH_S = 10.0
SAVE_S = 60.0


class Learning:
    """What one gateway worker has learnt. `live` are the models' states, which it writes to."""

    def __init__(
        self,
        fleet: Fleet,
        live: Mapping[str, ModelState],
        instruments: Instruments,
        alone: bool,
        path: Path | None = None,
    ) -> None:
        """`alone`: one tenant, or all are trusted. `path`: the file that it is kept in; None: it is not kept."""
        self._models: dict[str, Model] = {model.id: model for model in fleet.models}
        self._live = live
        self._instruments = instruments
        self._languages = languages_of(fleet) | {OTHER}
        self._path = path
        self.calibration = Calibration(alone)
        self.lengths = Lengths(fleet.routing.expected_output_tokens, alone)
        self.meters = _meters(fleet.models)
        self._counted = (0, 0)
        self.published = 0.0  # when what was learnt came into decisions last, in seconds since the epoch
        self._shown: dict[str, set[str]] = {}
        self._measured: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        if path is not None and (learnt := load(path)) is not None:
            self._restore(learnt)
        for model in fleet.models:
            price, show = rates(model), instruments.price.set
            show((model.id, "list", "input"), price.input_usd_per_mtok / 1e6)
            show((model.id, "list", "cached_input"), (price.cached_input_usd_per_mtok or 0) / 1e6)
            show((model.id, "list", "output"), price.output_usd_per_mtok / 1e6)
        self.publish(time())

    def start(self) -> None:
        """Begins to watch, to publish and to save."""
        self._tasks = [asyncio.create_task(self._watch(), name="learning")]

    async def stop(self) -> None:
        """Ends that, and saves once more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.save()

    def observe(self, done: Finished) -> None:
        """One request is over."""
        usage, chosen, model_id = done.usage, done.chosen, done.model
        if usage is None or chosen is None or model_id is None:
            return
        meter = self.meters.get(model_id)
        if meter is not None:
            meter.served(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, done.at)
        again = done.discarded
        if again is not None and again.usage is not None and again.model in self.meters:
            told = again.usage
            self.meters[again.model].served(told.prompt_tokens, told.cached_tokens, told.completion_tokens, done.at)
        if usage.estimated or done.status != 200 or done.error is not None or done.endpoint not in TEMPLATED:
            return  # an answer that was broken off says nothing of its length, and its prompt was not counted
        decision, request, tenant = chosen.decision, chosen.request, done.caller.tenant
        candidate = next((one for one in decision.candidates if one.model == model_id), None)
        languages = languages_of_text(decision.language)
        language = languages[0] if languages else OTHER
        if candidate is not None and language in self._languages and not request.structured_characters:
            applied = self._live[model_id].token_ratios.get(language, 1.0)
            self.calibration.observe(
                model_id, language, tenant, candidate.input_tokens / applied, usage.prompt_tokens, done.at
            )
        answer = decision.language.answer
        if answer in self._languages and usage.completion_tokens > 0:
            each, cap = usage.completion_tokens / max(request.choices, 1), request.max_output_tokens
            self.lengths.observe(
                model_id,
                answer,
                decision.task or "",
                tenant,
                each,
                self._unit(model_id, answer),
                cap is not None and each >= cap,
                done.at,
            )

    def sample(self, now: float) -> None:
        """Looks which replicas have work."""
        for model_id, meter in self.meters.items():
            state, engine = self._live[model_id], self._models[model_id].engine
            replicas = max(engine.replicas.initial, 1) if engine is not None and state.healthy else 0
            meter.sample(replicas, state.in_flight, now)

    def publish(self, now: float) -> None:
        """Puts what was learnt into the models' state and the metrics: new mappings each time."""
        self.published = now
        ratios = self.calibration.ratios(now)
        lengths = self.lengths.expected(self._models, self._unit, now)
        show = self._instruments
        answers: dict[tuple[str, ...], float] = {}
        for model_id, state in self._live.items():
            state.token_ratios = ratios.get(model_id, {})
            state.answer_tokens = {kind: length.mean for kind, length in lengths[model_id].items()}
            shown = self._shown.setdefault(model_id, set())
            shown.update(state.token_ratios)
            for language in shown:  # one that has gone back to 1 as well
                show.token_ratio.set((model_id, language), state.token_ratios.get(language, 1.0))
            for (language, task), length in lengths[model_id].items():
                for statistic, value in zip(length._fields, length, strict=True):
                    answers[(model_id, language, task or "none", statistic)] = value
            meter = self.meters.get(model_id)
            state.measured = measured = meter.price(now) if meter is not None else None
            if measured is None:
                if model_id in self._measured:  # what was measured hours ago is no price any more
                    self._measured.discard(model_id)
                    for basis in ("average", "marginal"):
                        for direction in ("input", "output"):
                            show.price.remove((model_id, basis, direction))
            else:
                self._measured.add(model_id)
                show.price.set((model_id, "average", "input"), measured.average_input_usd)
                show.price.set((model_id, "average", "output"), measured.average_output_usd)
                show.price.set((model_id, "marginal", "input"), measured.marginal_input_usd)
                show.price.set((model_id, "marginal", "output"), measured.marginal_output_usd)
        show.answer_tokens.keep(answers)
        counted = self.calibration.observations, self.lengths.observations
        for kind, count, before in zip(("token_ratio", "answer_length"), counted, self._counted, strict=True):
            show.observations.add((kind,), count - before)
        self._counted = counted

    async def save(self) -> None:
        """Writes what was learnt, in a thread. A disk that is full or gone costs what was learnt, and no request."""
        if self._path is None:
            return
        meters = {model_id: meter.state() for model_id, meter in self.meters.items()}
        learnt = Learnt(self.calibration.state(), self.lengths.state(), meters)
        try:
            await asyncio.to_thread(save, self._path, learnt)
        except OSError as error:
            log.error("what the gateway learnt cannot be written: %s; requests go on", error)

    def _restore(self, learnt: Learnt) -> None:
        self.calibration.restore(learnt.ratios, self._models)
        self.lengths.restore(learnt.lengths, self._models)
        for model_id, slots in learnt.meters.items():
            if model_id in self.meters:
                self.meters[model_id].restore(slots, time())

    async def _watch(self) -> None:
        published = saved = monotonic()
        while True:
            await asyncio.sleep(SAMPLE_S)
            now = monotonic()
            self.sample(time())
            if now - published >= PUBLISH_S:
                self.publish(time())
                published = now
            if now - saved >= SAVE_S:
                await self.save()
                saved = now

    def _unit(self, model_id: str, language: str) -> float:
        """What an English token of Llama 3 becomes in a model's answers."""
        card = self._models[model_id].card
        return tokens.same_content(card.tokenizer, language) * (
            REASONING_FACTOR if card.kind is Kind.REASONING else 1.0
        )


def _meters(models: Sequence[Model]) -> dict[str, Meter]:
    """A meter for every model whose GPUs have a price."""
    made = {}
    for model in models:
        usd, price = usd_per_replica_hour(model), rates(model)
        if usd > 0:
            into = price.input_usd_per_mtok
            output = price.output_usd_per_mtok / into if into > 0 else 1.0
            cached = (price.cached_input_usd_per_mtok or 0.0) / into if into > 0 else 1.0
            made[model.id] = Meter(usd, output, cached)
    return made
