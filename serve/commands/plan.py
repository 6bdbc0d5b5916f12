"""`parlance plan`: what each model of a fleet takes, sustains within the objectives, and costs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoscaling.capacity import sizing
from autoscaling.capacity.sizing import Bill, Size, Unsized
from autoscaling.capacity.sustained import Mix
from serve.commands.plan_tables import as_markdown, as_text, with_sizing
from serve.errors import LocalError
from serve.fleet import Fleet, ModelCard, catalogue, load

HELP = "the sizing of a fleet: replicas, KV room, requests within the objectives, what bounds them, GPUs and USD"

PROMPT, OUTPUT = 512.0, 256.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--fleet", type=Path, metavar="F", help="fleet file; default: the example 8xh100")
    parser.add_argument(
        "--values",
        type=Path,
        action="append",
        default=[],
        metavar="V",
        help="values of the Helm chart, repeatable, later ones over earlier ones: the fleet that they install "
        "(with --fleet: that one, as `helm --set-file fleet=F` has it)",
    )
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
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--markdown", action="store_true", help="the sizing table for a page")
    form.add_argument(
        "--into",
        type=Path,
        metavar="PAGE",
        help="that table, written into a page between `<!-- sizing NAME -->`, the fleet's, and `<!-- sizing ends -->`",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the sizes. Raises LocalError for options that contradict each other, DescriptionError for the fleet."""
    if args.mix and (args.prompt is not None or args.output is not None):
        raise LocalError("--mix stands instead of --prompt and --output: give one or the other")
    mixes = args.mix or [Mix(args.prompt or PROMPT, args.output or OUTPUT)]
    fleet = _fleet(args)
    if args.all:
        cards = {name: ModelCard.model_validate(catalogue.raw(name)) for name in catalogue.names()}
        sizes, unsized = sizing.of_catalogue(cards, mixes, fleet.slo)
        bill = None
    else:
        sizes, unsized = sizing.of_fleet(fleet, mixes)
        bill = sizing.bill(fleet)
    if args.json:
        print(json.dumps(_as_dict(fleet, sizes, unsized, bill), ensure_ascii=False, indent=2))
    elif args.into:
        table = "\n".join(as_markdown(fleet, mixes, sizes, unsized, bill))
        page = args.into.read_text(encoding="utf-8")
        args.into.write_text(with_sizing(page, fleet.name, table, str(args.into)), encoding="utf-8")
    else:
        print("\n".join((as_markdown if args.markdown else as_text)(fleet, mixes, sizes, unsized, bill)))
    return 0


def _fleet(args: argparse.Namespace) -> Fleet:
    if args.values:
        from serve.chart.fleets import installed

        return installed(args.values, args.fleet)
    return load(args.fleet or _example())


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


def _as_dict(fleet: Fleet, sizes: Sequence[Size], unsized: Sequence[Unsized], bill: Bill | None) -> dict[str, Any]:
    """Everything that the text says; seconds, tokens and USD as numbers."""
    return {
        "slo": {"ttft_s": fleet.slo.ttft_s, "itl_s": fleet.slo.itl_s, "attainment": fleet.slo.attainment},
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
        "gpus_on_one_node": engine.workers,
        "weights": size.stored,
        "context_tokens": size.context_tokens,
        "mix": {"prompt": size.mix.prompt, "output": size.mix.output, "cached": size.mix.cached},
        "kv_room_tokens": size.kv_room_tokens,
        "kv_contexts": size.kv_contexts,
        "kv_requests": size.kv_sequences,
        "replicas": _bounds(None if size.least is None or size.most is None else (size.least, size.most)),
        "requests_per_s": done.requests_per_s,
        "fleet_requests_per_s": _bounds(size.requests_per_s),
        "output_tokens_per_s": done.output_tokens_per_s,
        "requests_at_once": done.sequences,
        "ttft_s": done.ttft_s,
        "itl_s": done.itl_s,
        "bound": done.bound,
        "max_ongoing_requests": engine.max_ongoing_requests,
        "within_objectives": size.within,
        "tensor_parallel_over_pcie": size.flattered,
        "usd_per_hour": size.usd_per_hour,
        "fleet_usd_per_hour": _bounds(size.usd_per_hour_bounds),
        "usd_per_mtok": size.usd_per_mtok,
        "usd_per_output_mtok": size.usd_per_output_mtok,
    }


def _bounds(bounds: tuple[float, float] | None) -> dict[str, float] | None:
    return None if bounds is None else {"min": bounds[0], "max": bounds[1]}
