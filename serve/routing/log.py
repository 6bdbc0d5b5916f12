"""The decision log's entries: what a decision was made from, in place of the text, and what came of it.

One JSON object a line. An entry holds no prompt, no answer and no key; `text` is there only where the fleet's owner
asked for it. What stands at its default is left out, so that a line has some 600 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from serve.routing.decide import languages_of_text
from serve.routing.records import Decision, Live, MeasuredPrice, ModelState, Observed, Request, Shift
from serve.routing.shifts import NO_SHIFTS, Shifts

# Raised when a reader of older entries would misread newer ones; fields that are only added do not raise it.
SCHEMA = 1


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was known of a model, reduced to what counted for this request."""

    healthy: bool = True
    has_capacity: bool = True
    in_flight: int = 0
    wait_s: float = 0.0
    token_ratio: float | None = None  # in the text's language
    answer_tokens: float | None = None  # in the answer's language, for the task
    penalties: dict[str, float] = {}
    measured: MeasuredPrice | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it. Tokens as the engine counted them, money in nano-USD; None: no usage was stated."""

    status: int
    model: str | None = None
    attempts: int = 1
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None
    nano_usd: int = 0
    wrong_language: str | None = None  # the language that the reply was in, where that was a wrong one


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the log. `request` has no text, `live` only the models whose state was not the default."""

    v: int
    at: float  # of the decision, seconds since the epoch
    id: str
    request: Request
    observed: Observed
    language: str
    answer: str
    reason: str  # the decision's reason_code
    model: str | None = None  # that was chosen
    task: str | None = None
    cost_usd: float = 0.0  # expected, of the chosen model
    quality: float | None = None  # of the chosen model
    live: dict[str, State] = {}
    tenant: str = ""
    outcome: Outcome | None = None
    text: str | None = None
    shifts: tuple[Shift, ...] = ()  # those in force for the language
    uniform: float = 0.0  # the conversation's number, where there are shifts


def states_of(live: Live, decision: Decision) -> dict[str, State]:
    """The live states that counted for a decision, by model id; to be called at once, for states change."""
    languages = languages_of_text(decision.language)
    counted = languages[0] if languages else decision.language.tag
    kind = (decision.language.answer, decision.task or "")
    needed = {*languages, decision.language.answer}
    found = {}
    for model, state in live.items():
        reduced = State(
            state.healthy,
            state.has_capacity,
            state.in_flight,
            state.wait_s,
            state.token_ratios.get(counted) if state.token_ratios else None,
            state.answer_tokens.get(kind) if state.answer_tokens else None,
            {tag: p for tag, p in state.penalties.items() if tag in needed} if state.penalties else {},
            state.measured,
        )
        if reduced != _DEFAULT:
            found[model] = reduced
    return found


_DEFAULT = State()


def entry_of(
    decision: Decision,
    request: Request,
    observed: Observed,
    states: Mapping[str, State],
    decision_id: str,
    tenant: str,
    outcome: Outcome | None,
    with_text: bool = False,
    shifts: Shifts = NO_SHIFTS,
    uniform: float = 0.0,
) -> Entry:
    """The entry of a decision that is settled. `shifts` and `uniform` are what it was made with."""
    there = tuple(shifts.get(decision.language.tag, ()))
    chosen = next((one for one in decision.candidates if one.model == decision.model), None)
    return Entry(
        v=SCHEMA,
        at=decision.decided_at,
        id=decision_id,
        request=bare(request),
        observed=observed,
        language=decision.language.tag,
        answer=decision.language.answer,
        reason=decision.reason_code,
        model=decision.model,
        task=decision.task,
        cost_usd=chosen.cost_usd if chosen else 0.0,
        quality=chosen.quality if chosen else None,
        live=dict(states),
        tenant=tenant,
        outcome=outcome,
        text=request.text if with_text else None,
        shifts=there,
        uniform=uniform if there else 0.0,
    )


def bare(request: Request) -> Request:
    """The request without its words: their number of characters stays."""
    characters = max(request.characters, len(request.text))
    return replace(request, text="", earlier=(), instructions="", characters=characters)


def live_of(entry: Entry) -> dict[str, ModelState]:
    """The live state that an entry tells of, for `decide_observed`."""
    languages = _languages(entry)
    return {
        model: ModelState(
            healthy=state.healthy,
            has_capacity=state.has_capacity,
            in_flight=state.in_flight,
            wait_s=state.wait_s,
            token_ratios={} if state.token_ratio is None else dict.fromkeys(languages, state.token_ratio),
            answer_tokens={}
            if state.answer_tokens is None
            else {(entry.answer, entry.task or ""): state.answer_tokens},
            penalties=state.penalties,
            measured=state.measured,
        )
        for model, state in entry.live.items()
    }


def shifts_of(entry: Entry) -> Shifts:
    """The shifts that an entry tells of, for `decide_observed`: those of its own language."""
    return {entry.language: entry.shifts} if entry.shifts else NO_SHIFTS


def _languages(entry: Entry) -> tuple[str, ...]:
    """Every tag under which the text's tokens may be counted: Bokmål and Nynorsk stand for each other."""
    return ("nb", "nn") if entry.language in ("nb", "nn") else (entry.language,)


encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)
_version = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse(line: bytes) -> Entry:
    """The entry of one line. Raises ValueError that says what is wrong: no JSON, another schema, an unfit field."""
    try:
        entry = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(_why(line, error)) from error
    if entry.v != SCHEMA:
        raise ValueError(f"v: {entry.v} is another schema of the log; this version reads {SCHEMA}")
    return entry


def _why(line: bytes, error: Exception) -> str:
    try:
        version = _version.decode(line).get("v")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"no JSON object: {error}"
    if version is None or bytes(version) != b"%d" % SCHEMA:
        shown = "absent" if version is None else bytes(version)[:20].decode("utf-8", "replace")
        return f"v: {shown} is no schema of the decision log that this version reads ({SCHEMA})"
    return str(error)
