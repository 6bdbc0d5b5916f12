"""One English sentence that says why: for headers, logs and people."""

from __future__ import annotations

from collections.abc import Sequence

from serve.routing import policy
from serve.routing.policy import Choice
from serve.routing.records import Candidate, Language, LanguageSource, Request
from serve.routing.tags import OTHER, name

# Names that callers send may be long or hold control characters: a reason stays one short line.
SHOWN = 60


def sentence(
    request: Request, reference: str, language: Language, candidates: Sequence[Candidate], choice: Choice
) -> str:
    """The reason of a choice: one line without control characters."""
    return f"{_language(language)}: {_why(request, reference, language, candidates, choice)}"


def _language(language: Language) -> str:
    known = language.tag != OTHER
    spoken = f"{name(language.tag)} ({_how(language)})" if known else "Language unknown"
    if language.answer != language.tag:
        spoken += f", answer in {name(language.answer)}"
    return spoken


def _how(language: Language) -> str:
    if language.source is LanguageSource.HINT:
        return "by hint"
    figure = f"{language.posterior[0][1]:.2f}"
    if language.source is LanguageSource.EARLIER:
        return f"{figure} from earlier turns"
    if language.source is LanguageSource.PRIOR:
        return f"{figure} by the fleet's prior"
    return figure


def _why(request: Request, reference: str, language: Language, candidates: Sequence[Candidate], choice: Choice) -> str:
    if not choice.ranking:
        return _none(request, candidates, choice)
    chosen = choice.ranking[0]
    by_id = {one.model: one for one in candidates}
    cost = f"expected {usd(by_id[chosen].cost_usd)} USD{_against(by_id, chosen, reference)}"
    match choice.code:
        case policy.CHEAPEST:
            tied = by_id[choice.ranking[1]].cost_usd == by_id[chosen].cost_usd
            what = "the least loaded of the cheapest" if tied else "the cheapest"
            return f"{chosen} is {what} of {len(choice.ranking)} models that are good enough ({cost})."
        case policy.SHIFTED if choice.shift is not None:
            share, source = choice.shift.share, choice.shift.source
            away = f"{share:.0%} of what would go to {source} in {name(language.tag)}"
            return f"{chosen} is good enough, and the autoscaler's plan moves {away} there ({cost})."
        case policy.ONLY_CANDIDATE:
            return f"{chosen} is the only model of {len(candidates)} that is good enough ({cost})."
        case policy.EXACT | policy.ALIAS:
            return f"{chosen} was asked for by {'its id' if choice.code == policy.EXACT else 'an alias'} ({cost})."
        case policy.LANGUAGE_UNKNOWN if chosen == reference:
            return f"{chosen}, the reference model, answers what no model can be fitted to ({cost})."
        case policy.LANGUAGE_UNKNOWN:
            return f"{chosen} stands in for the reference model {reference}, which may not answer ({cost})."
        case policy.LANGUAGE_FALLBACK:
            return f"no other model may answer in it, so the reference model {chosen} does ({cost})."
        case _:
            return f"no model that covers it is there; {chosen} is the strongest that is up ({cost})."


def _none(request: Request, candidates: Sequence[Candidate], choice: Choice) -> str:
    if choice.code == policy.UNKNOWN_MODEL:
        asked = "".join(c if c.isprintable() else "?" for c in request.model[:SHOWN])
        return f"there is no model {asked!r}."
    counts: dict[str, int] = {}
    for one in candidates:
        if one.rejection is not None:
            counts[one.rejection.value] = counts.get(one.rejection.value, 0) + 1
    listed = ", ".join(f"{count} {code}" for code, count in sorted(counts.items(), key=lambda i: (-i[1], i[0])))
    return f"no model may answer: {policy.REASONS[choice.code]} ({listed})."


def _against(by_id: dict[str, Candidate], chosen: str, reference: str) -> str:
    if chosen == reference or reference not in by_id:
        return ""
    mine, its = by_id[chosen].cost_usd, by_id[reference].cost_usd
    if mine <= 0 or its <= 0:
        return ""
    if its >= mine * 1.05:
        return f", {its / mine:.1f}x below {reference}"
    return f", {mine / its:.1f}x of {reference}" if mine >= its * 1.05 else f", as much as {reference}"


def usd(amount: float) -> str:
    """An amount with two significant digits, never in exponents: 0.000012."""
    if amount <= 0:
        return "0"
    if amount >= 0.01:
        return f"{amount:.4f}"
    digits = 1
    while amount < 10.0**-digits and digits < 14:
        digits += 1
    return f"{amount:.{digits + 1}f}"
