"""How often the asked-for language is found, and how long it takes.

python bench/languages/answers.py [tests/data/answers.jsonl] [--split tune|held-out] [--misses]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

from serve.routing.answer import asked_for

DEFAULT = Path(__file__).resolve().parents[2] / "tests" / "data" / "answers.jsonl"


def measure(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Recall over requests, precision over what was found, misses by language, and the median time in µs."""
    asked = hit = found = 0
    misses, false, times = Counter[str](), [], []
    for case in cases:
        text, system = case["text"], case.get("system", "")
        asked_for.__globals__["_instructed"].cache_clear()
        began = perf_counter()
        got = asked_for(text, system)
        times.append(perf_counter() - began)
        asked += case["want"] is not None
        found += got is not None
        hit += got is not None and got == case["want"]
        if got != case["want"]:
            misses[case["lang"]] += 1
            false.append((case["lang"], case["want"], got, f"{system} | {text}" if system else text))
    return {
        "cases": len(cases),
        "requests": asked,
        "recall": hit / asked if asked else 1.0,
        "precision": hit / found if found else 1.0,
        "misses_by_language": dict(misses),
        "wrong": false,
        "median_us": statistics.median(times) * 1e6,
        "p99_us": sorted(times)[int(len(times) * 0.99)] * 1e6,
    }


def main() -> None:
    """Prints the measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default=DEFAULT, type=Path)
    parser.add_argument("--split")
    parser.add_argument("--misses", action="store_true")
    chosen = parser.parse_args()
    cases = [json.loads(line) for line in chosen.file.read_text(encoding="utf-8").splitlines()]
    asked_for("hello in German")  # loads the tables
    for split in [chosen.split] if chosen.split else dict.fromkeys(case["split"] for case in cases):
        got = measure([case for case in cases if case["split"] == split])
        wrong = got.pop("wrong")
        print(split, json.dumps(got, ensure_ascii=False))
        if chosen.misses:
            for case in wrong:
                print("  ", *case, sep="\t")


if __name__ == "__main__":
    main()
