"""A row of the ledger: what one answer cost, and for whom. Never a word of what was said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from serve.gateway.record import Finished
from serve.gateway.stream import Usage

SENT, DISCARDED, SUMMED = 0, 1, 2
# What an engine says it counted is not trusted beyond this (a million USD): one absurd number must not make sums that
# no column holds.
LARGEST = 10**15


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One answer. `decision_id` and `part` name it: writing it twice changes nothing.

    `part` is SENT for what the client got, DISCARDED for an answer that was paid for and not sent (another model was
    asked because of its language), SUMMED for `requests` rows of a day that were added up because there was no room for
    each. `at` is seconds since the epoch; `cached_tokens` are part of `input_tokens`.
    """

    decision_id: str
    part: int
    at: float
    request_id: str
    tenant: str
    key_name: str
    model: str
    language: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    estimated: bool  # counted from the events that came, for a stream that broke off
    nano_usd: int
    status: int  # 499: the client left
    requests: int = 1


_NONE = Usage()


def rows_of(done: Finished) -> Iterator[Row]:
    """The rows of a request that is over; none where no model was asked."""
    model = done.model
    if model is None:
        return
    decision, discarded, usage = done.decision, done.discarded, done.usage or _NONE
    language = decision.language.tag if decision is not None else ""
    head = done.at, done.request_id, done.caller.tenant, done.caller.key
    paid = done.nano_usd
    if discarded is not None:
        paid -= discarded.nano_usd
        yield _row(done.decision_id, DISCARDED, head, discarded.model, language, discarded.usage or _NONE,
                   discarded.nano_usd, done.status)  # fmt: skip
    yield _row(done.decision_id, SENT, head, model, language, usage, paid, done.status)


def _row(
    decision_id: str,
    part: int,
    head: tuple[float, str, str, str],
    model: str,
    language: str,
    usage: Usage,
    nano_usd: int,
    status: int,
) -> Row:
    return Row(
        decision_id,
        part,
        *head,
        model,
        language,
        min(usage.prompt_tokens, LARGEST),
        min(usage.cached_tokens, LARGEST),
        min(usage.completion_tokens, LARGEST),
        usage.estimated,
        min(nano_usd, LARGEST),
        status,
        0 if part == DISCARDED else 1,
    )


def summed(rows: Iterable[Row], name: str) -> list[Row]:
    """Rows added up, one a day, tenant, key and model: where there is no room for each, no money is forgotten.

    `name` makes the ids of the sums, and must be unused so far.
    """
    sums: dict[tuple[int, str, str, str], Row] = {}
    for row in rows:
        key = (int(row.at // 86_400), row.tenant, row.key_name, row.model)
        before = sums.get(key)
        sums[key] = Row(
            before.decision_id if before else f"{name}-{len(sums)}",
            SUMMED,
            row.at,
            "",
            row.tenant,
            row.key_name,
            row.model,
            "",
            row.input_tokens + (before.input_tokens if before else 0),
            row.cached_tokens + (before.cached_tokens if before else 0),
            row.output_tokens + (before.output_tokens if before else 0),
            row.estimated or (before.estimated if before else False),
            row.nano_usd + (before.nano_usd if before else 0),
            0,
            row.requests + (before.requests if before else 0),
        )
    return list(sums.values())
