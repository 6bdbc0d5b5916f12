"""`parlance catalogue`: the models that are known, what is known of them, and how the generated files are made."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from serve.errors import DescriptionError, LocalError, Problem
from serve.fleet import catalogue
from serve.fleet.card import ModelCard
from serve.fleet.catalogue import build, build_quality
from serve.fleet.loader import MACROLANGUAGES

HELP = "known models: list, show, and build the generated files from collected facts"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="names, sizes, licences, context and languages")
    show = actions.add_parser("show", help="everything about one model, as JSON")
    show.add_argument("name", metavar="NAME")
    make = actions.add_parser("build", help="write quality.tsv and gpus.yaml from CSV files of facts")
    make.add_argument(
        "--facts",
        type=Path,
        required=True,
        metavar="DIR",
        help="quality_index.csv, quality_by_task.csv, quality.csv, gpus.csv, prices.csv",
    )
    make.add_argument("--out", type=Path, default=catalogue.HERE, metavar="DIR", help="default: the catalogue itself")


def run(args: argparse.Namespace) -> int:
    """Runs one action."""
    if args.action == "list":
        _list()
    elif args.action == "show":
        print(json.dumps(_card(args.name).model_dump(mode="json"), ensure_ascii=False, indent=2))
    else:
        _build(args.facts, args.out)
    return 0


def _card(name: str) -> ModelCard:
    try:
        return ModelCard.model_validate(catalogue.raw(name))
    except KeyError as error:
        raise LocalError(f"{name!r} is no model of the catalogue: one of {', '.join(catalogue.names())}") from error


def _list() -> None:
    print(f"{'name':33}{'kind':11}{'params':>8}{'context':>9}  {'licence':28}{'gated':7}languages (declared, evidence)")
    for name in catalogue.names():
        card = _card(name)
        size = f"{card.architecture.parameters / 1e9:.1f}B" if card.architecture else "?"
        print(
            f"{name:33}{card.kind:11}{size:>8}{card.context_tokens:>9}  {card.licence.name:28}"
            f"{'yes' if card.licence.gated else 'no':7}{len(card.languages_declared)}, {len(card.quality)}"
        )


def _build(facts: Path, out: Path) -> None:
    """Writes both files, then says where a catalogue entry's list price no longer follows from the facts."""
    cards = {name: _card(name) for name in catalogue.names()}
    entries = {
        name: build_quality.Entry(card.source, _declared(card))
        for name, card in cards.items()
        if card.source is not None
    }
    prices = _text(facts / "prices.csv")
    made = {
        "quality.tsv": build_quality.quality_tsv(
            _text(facts / "quality_index.csv"),
            _text(facts / "quality_by_task.csv"),
            _text(facts / "quality.csv"),
            entries,
        ),
        "gpus.yaml": build.gpus_yaml(_text(facts / "gpus.csv"), prices),
    }
    for name, text in made.items():
        path = out / name
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if not same:
            path.write_text(text, encoding="utf-8")
        print(f"{path}: {'unchanged' if same else 'written'}")
    for name, entry in entries.items():
        price, now = cards[name].price, build.token_price(prices, entry.hub)
        if price is None or price.status != "list" or now is None:
            continue
        if (price.input_usd_per_mtok, price.output_usd_per_mtok) != now[:2]:
            print(f"{name}: the list price is {now[0]} in, {now[1]} out over {now[2]} providers now", file=sys.stderr)


def _declared(card: ModelCard) -> frozenset[str]:
    """What the maker claims, a macrolanguage as its members."""
    return frozenset(part for tag in card.languages_declared for part in MACROLANGUAGES.get(tag, (tag,)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(str(path), [Problem("", "", f"cannot be read: {error}")]) from error
