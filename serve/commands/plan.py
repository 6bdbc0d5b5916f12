"""`parlance plan`: what a replica of each model sustains within the objectives, and what it costs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autoscaling.capacity import sizing
from autoscaling.capacity.sizing import Bill, Size, Unsized
from autoscaling.capacity.sustained import Mix
from serve.commands.tables import aligned
from serve.errors import LocalError
from serve.fleet import Fleet, ModelCard, catalogue, load
from serve.fleet.slo import Slo

HELP = "what a replica of each model sustains within the objectives, what keeps it from more, and what it costs"

PROMPT, OUTPUT = 512.0, 256.0
HEAD = (
    "model", "GPUs", "weights", "context", "KV tokens", "requests", "replicas", "requests/s", "output/s", "TTFT s",
    "ITL s", "bound by", "USD/h", "USD/Mtok", "USD/Mtok out",
)  # fmt: skip
RIGHT = frozenset({3, 4, 5, 7, 8, 9, 10, 12, 13, 14})
LEGEND = (
    "One replica at its limit; computed, not measured (docs/autoscaling.md has the formula and its error).\n"
    "KV tokens: room for all requests together; requests: of this mix at once. TTFT, ITL: means, without a queue.\n"
    "bound by: what keeps it from more. kv: the cache is full; sequences: max-num-seqs; missed: one alone is late.\n"
    "USD/Mtok: per million tokens read and written, at full use; out: all of it put on the tokens written."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--fleet", type=Path, metavar="F", help="fleet file; default: the example 8xh100")
    parser.add_argument("--all", action="store_true", help="every model of the catalogue on every GPU that it fits")
    parser.add_argument("--prompt", type=_tokens, metavar="N", help=f"mean prompt tokens; default: {PROMPT:g}")
    parser.add_argument("--output", type=_tokens, metavar="N", help=f"mean output tokens; default: {OUTPUT:g}")
    parser.add_argument(
        "--mix",
        type=_mix,
        action="append",
        default=[],
        metavar="PROMPT:OUTPUT[:CACHED]",
        help="instead of the two above, repeatable: a table each; CACHED of the prompt are in a prefix cache",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Prints the sizes. Raises LocalError for options that contradict each other, DescriptionError for the fleet."""
    if args.mix and (args.prompt is not None or args.output is not None):
        raise LocalError("--mix stands instead of --prompt and --output: give one or the other")
    mixes = args.mix or [Mix(args.prompt or PROMPT, args.output or OUTPUT)]
    fleet = load(args.fleet or _example())
    if args.all:
        cards = {name: ModelCard.model_validate(catalogue.raw(name)) for name in catalogue.names()}
        sizes, unsized = sizing.of_catalogue(cards, mixes, fleet.slo)
        bill = None
    else:
        sizes, unsized = sizing.of_fleet(fleet, mixes)
        bill = sizing.bill(fleet)
    if args.json:
        print(json.dumps(_as_dict(fleet, sizes, unsized, bill), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(fleet, mixes, sizes, unsized, bill)))
    return 0


def _example() -> Path:
    from serve.fleet.loader import LAPTOP

    return LAPTOP.with_name("8xh100.yaml")


def _tokens(text: str) -> float:
    """For argparse."""
    try:
        tokens = float(text)
    except ValueError:
        tokens = 0.0
    if not 1 <= tokens <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of tokens, 1 to 10,000,000")
    return tokens


def _mix(text: str) -> Mix:
    """For argparse."""
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise argparse.ArgumentTypeError(f"{text!r}: prompt and output tokens with a colon between them, as 512:256")
    prompt, output = _tokens(parts[0]), _tokens(parts[1])
    cached = _tokens(parts[2]) if parts[2:] and parts[2] != "0" else 0.0
    if cached > prompt:
        raise argparse.ArgumentTypeError(f"{text!r}: at most the prompt's {prompt:,.0f} tokens can be cached")
    return Mix(prompt, output, cached)


def _lines(
    fleet: Fleet, mixes: Sequence[Mix], sizes: Sequence[Size], unsized: Sequence[Unsized], bill: Bill | None
) -> Iterator[str]:
    for mix in mixes:
        rows = [_row(size) for size in sizes if size.mix == mix]
        if rows:
            yield f"{_in_words(mix)}; {_objectives(fleet.slo)}"
            yield from aligned([HEAD, *rows], RIGHT)
            yield ""
    if sizes:
        yield LEGEND
    if flattered := dict.fromkeys(size.engine.gpu or "" for size in sizes if size.flattered):
        yield f"The formula counts NVLink: tensor parallel over PCIe does less than this ({', '.join(flattered)})."
    if bill is not None:
        yield from _held_back(sizes)
    if bill is not None and bill.most_gpus:
        yield ""
        usd = f"{bill.least_usd_per_hour:,.2f} to {bill.most_usd_per_hour:,.2f} USD an hour"
        without = f" without {', '.join(bill.unpriced)}, whose GPUs have no price" if bill.unpriced else ""
        yield f"fleet {fleet.name}: {bill.least_gpus} to {bill.most_gpus} GPUs, {usd}{without}"
    if unsized:
        yield ""
        yield from (f"not computed: {one.name}: {one.why}" for one in unsized)


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


def _in_words(mix: Mix) -> str:
    cached = f", {mix.cached:,.0f} of them cached" if mix.cached else ""
    return f"{mix.prompt:,.0f} prompt tokens{cached} and {mix.output:,.0f} output tokens"


def _objectives(slo: Slo) -> str:
    return f"TTFT {slo.ttft_s:g} s, ITL {slo.itl_s:g} s"


def _row(size: Size) -> tuple[str, ...]:
    done, engine = size.sustained, size.engine
    return (
        size.model,
        f"{engine.workers}x {engine.gpu}{f' pp{engine.pipeline_parallel}' if engine.pipeline_parallel > 1 else ''}",
        size.stored,
        f"{size.context_tokens:,}",
        f"{size.kv_room_tokens:,}",
        f"{size.kv_sequences:,.0f}",
        "-" if size.least is None else f"{size.least} to {size.most}",
        f"{done.requests_per_s:.2f}",
        f"{done.output_tokens_per_s:,.0f}",
        f"{done.ttft_s:.2f}",
        f"{done.itl_s:.3f}",
        done.bound if size.within else f"{done.bound} missed",
        _usd(size.usd_per_hour),
        _usd(size.usd_per_mtok, 3),
        _usd(size.usd_per_output_mtok, 3),
    )


def _usd(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _as_dict(fleet: Fleet, sizes: Sequence[Size], unsized: Sequence[Unsized], bill: Bill | None) -> dict[str, Any]:
    """Everything that the text says; seconds, tokens and USD as numbers."""
    return {
        "slo": {"ttft_s": fleet.slo.ttft_s, "itl_s": fleet.slo.itl_s},
        "sizes": [_plain(size) for size in sizes],
        "not_computed": [{"name": one.name, "why": one.why} for one in unsized],
        "fleet": None
        if bill is None
        else {
            "name": fleet.name,
            "gpus": {"min": bill.least_gpus, "max": bill.most_gpus},
            "usd_per_hour": {"min": bill.least_usd_per_hour, "max": bill.most_usd_per_hour},
            "without_price": list(bill.unpriced),
        },
    }


def _plain(size: Size) -> dict[str, Any]:
    done, engine = size.sustained, size.engine
    return {
        "model": size.model,
        "gpu": engine.gpu,
        "tensor_parallel": engine.tensor_parallel,
        "pipeline_parallel": engine.pipeline_parallel,
        "weights": size.stored,
        "context_tokens": size.context_tokens,
        "mix": {"prompt": size.mix.prompt, "output": size.mix.output, "cached": size.mix.cached},
        "kv_room_tokens": size.kv_room_tokens,
        "kv_requests": size.kv_sequences,
        "replicas": None if size.least is None else {"min": size.least, "max": size.most},
        "requests_per_s": done.requests_per_s,
        "output_tokens_per_s": done.output_tokens_per_s,
        "requests_at_once": done.sequences,
        "ttft_s": done.ttft_s,
        "itl_s": done.itl_s,
        "bound": done.bound,
        "max_ongoing_requests": engine.max_ongoing_requests,
        "within_objectives": size.within,
        "tensor_parallel_over_pcie": size.flattered,
        "usd_per_hour": size.usd_per_hour,
        "usd_per_mtok": size.usd_per_mtok,
        "usd_per_output_mtok": size.usd_per_output_mtok,
    }
