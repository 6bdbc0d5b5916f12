"""`parlance languages`: what language texts are in, and how often that is right on texts whose language is known."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import msgspec

from serve.commands import rows
from serve.commands.tables import aligned
from serve.errors import DescriptionError, Problem
from serve.fleet.routing import Routing
from serve.routing import Request
from serve.routing.accuracy import Accuracy, best_guess
from serve.routing.identify import EXPECTED
from serve.routing.language import resolve
from serve.routing.mixed import read
from serve.routing.observe import observe
from serve.routing.records import Language
from serve.routing.tags import OTHER, normal

HELP = "tell the language of texts, and measure how often that is right"
MIN_CONFIDENCE: float = Routing.model_fields["min_confidence"].default


class Text(msgspec.Struct):
    """A row for `detect`."""

    text: str


class Labelled(msgspec.Struct):
    """A row for `evaluate`: a text with its true language."""

    lang: str
    text: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its two actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    detect = actions.add_parser("detect", help="a JSON row for each text: lang, posterior, answer_lang, abstained")
    detect.add_argument("file", type=Path, metavar="FILE", help="JSON lines with text; - reads standard input")
    evaluate = actions.add_parser("evaluate", help="macro-F1, calibration, confusions and time over labelled texts")
    evaluate.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSON lines with lang (BCP-47) and text")
    evaluate.add_argument("--json", action="store_true", help="everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the rows or the figures. Raises DescriptionError for a row that does not fit."""
    if args.action == "detect":
        for row in rows.each(args.file, Text):
            print(json.dumps(told(row.text), ensure_ascii=False), flush=args.file == rows.STDIN)
        return 0
    results = [(str(path), measure(path)) for path in args.files]
    if args.json:
        print(json.dumps(dict(results), ensure_ascii=False, indent=2))
    else:
        print("\n\n".join(_text(name, figures) for name, figures in results))
    return 0


def told(text: str) -> dict[str, Any]:
    """What `detect` says of a text.

    `lang` is the best guess (`other` where that is no language, or the text has none), `abstained` whether a request
    with this text alone would rather go by its earlier turns, the tenant's mix or the fleet's prior.
    """
    language = _language(text)
    lang = best_guess(language.posterior)
    answer = lang if language.answer == language.tag else language.answer
    return {
        "lang": lang,
        "posterior": dict(language.posterior),
        "answer_lang": answer,
        "abstained": language.abstained,
    }


def measure(path: Path) -> dict[str, Any]:
    """The figures of one file. Raises DescriptionError for a row that does not fit."""
    accuracy = Accuracy(EXPECTED)
    labelled = rows.read(path, Labelled)
    _language("Load the model before the clock starts.")
    for number, row in enumerate(labelled, 1):
        truth = OTHER if row.lang == OTHER else normal(row.lang)
        if truth is None:
            allowed = "a BCP-47 tag such as nn or pt-BR, or other"
            raise DescriptionError(str(path), [Problem(f"row {number} lang", repr(row.lang), allowed)])
        began = time.perf_counter()
        read(row.text)
        accuracy.seconds += time.perf_counter() - began
        language = _language(row.text)
        accuracy.add(truth, best_guess(language.posterior), language.posterior, language.abstained)
    return accuracy.as_dict()


def _language(text: str) -> Language:
    return resolve(observe(Request(text=text)), None, None, {}, MIN_CONFIDENCE)


def _text(name: str, figures: dict[str, Any]) -> str:
    covered, outside = figures["covered"], figures["outside"]
    lines = [f"{name}: {figures['texts']} texts, {figures['microseconds_per_text']:.0f} µs each"]
    if covered["texts"]:
        lines += [
            f"macro-F1 {covered['macro_f1']:.4f} over {covered['languages']} languages, "
            f"accuracy {covered['accuracy']:.4f}, expected calibration error {covered['calibration_error']:.4f}",
        ]
    if outside["texts"]:
        lines.append(f"languages that no model speaks: {outside['recognised']:.1%} of {outside['texts']} recognised")
    lines.append(f"abstained: {figures['abstained']:.1%}")
    if covered["texts"]:
        table = [("probability", "texts", "mean", "right")]
        table += [
            (f"{b['from']:.1f} to {b['to']:.1f}", str(b["texts"]), f"{b['probability']:.3f}", f"{b['right']:.3f}")
            for b in covered["reliability"]
        ]
        lines += ["", *aligned(table, {1, 2, 3})]
    if covered["worst"]:
        table = [("worst", "texts", "F1", "taken for")]
        for one in covered["worst"]:
            taken = ", ".join(f"{tag} {n}" for tag, n in one["taken_for"].items())
            table.append((one["lang"], str(one["texts"]), f"{one['f1']:.3f}", taken))
        lines += ["", *aligned(table, {1, 2})]
    if outside["taken_for"]:
        lines += ["", "taken for a language that is spoken: " + ", ".join(
            f"{one['lang']} for {one['said']} {one['texts']}" for one in outside["taken_for"]
        )]  # fmt: skip
    return "\n".join(lines)
