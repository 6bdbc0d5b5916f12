"""Sizes as tables: for a terminal, and for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoscaling.capacity.sizing import Bill, Size, Unsized
from autoscaling.capacity.sustained import Mix
from serve.commands.tables import aligned
from serve.errors import LocalError
from serve.fleet import Fleet
from serve.fleet.slo import Slo

FLEET = (
    "model", "GPU", "TP", "weights", "context", "replicas", "GPUs on one node", "KV tokens", "full contexts",
    "requests/s each", "requests/s in all", "bound by", "USD/h",
)  # fmt: skip
REPLICA = (
    "model", "GPUs", "weights", "context", "KV tokens", "requests", "requests/s", "output/s", "TTFT s", "ITL s",
    "bound by", "USD/h", "USD/Mtok", "USD/Mtok out",
)  # fmt: skip
WORDS = frozenset({"model", "GPU", "GPUs", "weights", "bound by", "replicas", "requests/s in all", "USD/h"})
FLEET_LEGEND = (
    "A replica takes its GPUs on one node. KV tokens: room of one replica for all its requests together; full\n"
    "contexts: how many of the longest accepted length that is. requests/s: of this mix, within the objectives,\n"
    "without a queue; in all: of the fewest to the most replicas, as USD/h is."
)
LEGEND = (
    "One replica at its limit; computed, not measured (docs/autoscaling.md has the formula and its error).\n"
    "KV tokens: room for all requests together; requests: of this mix at once. TTFT, ITL: means, without a queue.\n"
    "bound by: what keeps it from more. kv: the cache is full; sequences: max-num-seqs; missed: one alone is late.\n"
    "USD/Mtok: per million tokens read and written, at full use; out: all of it put on the tokens written."
)


def as_text(
    fleet: Fleet, mixes: Sequence[Mix], sizes: Sequence[Size], unsized: Sequence[Unsized], bill: Bill | None
) -> Iterator[str]:
    """Lines: for each mix what the fleet takes and gives (with a bill), and what one replica does; then what is odd."""
    for mix in mixes:
        of_mix = [size for size in sizes if size.mix == mix]
        if not of_mix:
            continue
        yield f"{_in_words(mix)}; {_objectives(fleet.slo)}"
        if bill is not None:
            yield from _aligned(FLEET, [_fleet_row(size) for size in of_mix])
            yield ""
        yield from _aligned(REPLICA, [_replica_row(size) for size in of_mix])
        yield ""
    if sizes:
        if bill is not None:
            yield FLEET_LEGEND
        yield LEGEND
    yield from _remarks(sizes, bill)
    if bill is not None and bill.most_gpus:
        yield ""
        yield _total(fleet, bill)
    if unsized:
        yield ""
        yield from (f"not computed: {one.name}: {one.why}" for one in unsized)


def as_markdown(
    fleet: Fleet, mixes: Sequence[Mix], sizes: Sequence[Size], unsized: Sequence[Unsized], bill: Bill | None
) -> Iterator[str]:
    """Lines of the sizing table for a page: the fleet's with a bill, else one replica's; and what is odd, as a list."""
    head, row = (FLEET, _fleet_row) if bill is not None else (REPLICA, _replica_row)
    for mix in mixes:
        rows = [row(size) for size in sizes if size.mix == mix]
        if not rows:
            continue
        yield f"{_in_words(mix)}; {_objectives(fleet.slo)}:"
        yield ""
        yield _cells(head)
        yield _cells(["---" if name in WORDS else "---:" for name in head])
        yield from map(_cells, rows)
        yield ""
    if bill is not None and bill.most_gpus:
        yield f"{_total(fleet, bill)}."
        yield ""
    yield from (f"* {remark}" for remark in _remarks(sizes, bill))
    yield from (f"* not computed: {one.name}: {one.why}" for one in unsized)


def with_sizing(page: str, fleet: str, table: str, source: str) -> str:
    """The page with a fleet's table between its marks. Raises LocalError where the page, `source`, has not both."""
    before, mark, rest = page.partition(f"<!-- sizing {fleet} -->\n")
    _, end, after = rest.partition("<!-- sizing ends -->")
    if not (mark and end):
        raise LocalError(
            f"{source}: no `<!-- sizing {fleet} -->` with `<!-- sizing ends -->` after it, each on its line"
        )
    return f"{before}{mark}{table.strip()}\n{end}{after}"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return aligned([head, *rows], {place for place, name in enumerate(head) if name not in WORDS})


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _remarks(sizes: Sequence[Size], bill: Bill | None) -> Iterator[str]:
    """What the figures leave out, and with a bill what the description keeps from being reached."""
    if flattered := dict.fromkeys(size.engine.gpu or "" for size in sizes if size.flattered):
        yield f"The formula counts NVLink: tensor parallel over PCIe does less than this ({', '.join(flattered)})."
    if bill is not None:
        yield from _held_back(sizes)


def _held_back(sizes: Sequence[Size]) -> Iterator[str]:
    """A line for each model whose description lets too few requests in, with the mix that takes most at once."""
    most: dict[str, Size] = {}
    for size in sorted(filter(lambda one: one.held_back, sizes), key=lambda one: one.sustained.sequences):
        most[size.model] = size
    for model, size in most.items():
        yield (
            f"{model}: these figures take {size.sustained.sequences:,.0f} requests at once, and "
            f"engine.max_ongoing_requests lets {size.engine.max_ongoing_requests:,} into a replica: raise it"
        )


def _total(fleet: Fleet, bill: Bill) -> str:
    usd = f"{bill.least_usd_per_hour:,.2f} to {bill.most_usd_per_hour:,.2f} USD an hour"
    without = f" without {', '.join(bill.unpriced)}, whose GPUs have no price" if bill.unpriced else ""
    return f"fleet {fleet.name}: {bill.least_gpus} to {bill.most_gpus} GPUs, {usd}{without}"


def _in_words(mix: Mix) -> str:
    cached = f", {mix.cached:,.0f} of them cached" if mix.cached else ""
    return f"{mix.prompt:,.0f} prompt tokens{cached} and {mix.output:,.0f} output tokens"


def _objectives(slo: Slo) -> str:
    return f"TTFT {slo.ttft_s:g} s, ITL {slo.itl_s:g} s"


def _fleet_row(size: Size) -> tuple[str, ...]:
    engine = size.engine
    assert size.least is not None  # rows of a fleet have bounds
    assert size.most is not None
    assert size.requests_per_s is not None
    return (
        size.model,
        engine.gpu or "",
        f"{engine.tensor_parallel}{_stages(size)}",
        size.stored,
        f"{size.context_tokens:,}",
        _range(size.least, size.most, 0),
        f"{engine.workers}",
        f"{size.kv_room_tokens:,}",
        f"{size.kv_contexts:,.1f}",
        f"{size.sustained.requests_per_s:,.2f}",
        _range(*size.requests_per_s, 1),
        _bound(size),
        "-" if size.usd_per_hour_bounds is None else _range(*size.usd_per_hour_bounds, 2),
    )


def _replica_row(size: Size) -> tuple[str, ...]:
    done, engine = size.sustained, size.engine
    return (
        size.model,
        f"{engine.workers}x {engine.gpu}{_stages(size)}",
        size.stored,
        f"{size.context_tokens:,}",
        f"{size.kv_room_tokens:,}",
        f"{size.kv_sequences:,.0f}",
        f"{done.requests_per_s:,.2f}",
        f"{done.output_tokens_per_s:,.0f}",
        f"{done.ttft_s:.2f}",
        f"{done.itl_s:.3f}",
        _bound(size),
        _usd(size.usd_per_hour),
        _usd(size.usd_per_mtok, 3),
        _usd(size.usd_per_output_mtok, 3),
    )


def _stages(size: Size) -> str:
    return f" pp{size.engine.pipeline_parallel}" if size.engine.pipeline_parallel > 1 else ""


def _bound(size: Size) -> str:
    return size.sustained.bound if size.within else f"{size.sustained.bound} missed"


def _range(least: float, most: float, digits: int) -> str:
    """`1 to 4`, or one figure where both are the same."""
    low, high = f"{least:,.{digits}f}", f"{most:,.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _usd(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
