"""What other programs export, as it was recorded: the names, types and labels that our queries may rest on.

`parlance metrics record` writes these files from a running stack; a test holds every foreign entry of the catalogue
against them. Values are not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families

from observability.metric import Exporter

HERE = Path(__file__).with_name("recorded")
COLUMNS = "name\ttype\tlabels"
# `le` belongs to the format of histograms, `quantile` to that of summaries.
_OF_THE_FORMAT = frozenset(("le", "quantile"))


@dataclass(frozen=True, slots=True)
class Recorded:
    """One metric as it was exported. `name` has no _bucket, _count or _sum; counters keep their _total."""

    name: str
    kind: str
    labels: frozenset[str]


def parse_exposition(texts: Iterable[str]) -> list[Recorded]:
    """The metrics with at least one sample in these expositions, by name. Families without samples are left out: a
    query of them would be empty too."""
    found: dict[str, tuple[str, set[str]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = _base(sample.name, family.type)
                if sample.name.endswith("_created"):
                    continue
                found.setdefault(name, (family.type, set()))[1].update(sample.labels.keys() - _OF_THE_FORMAT)
    return [Recorded(name, kind, frozenset(labels)) for name, (kind, labels) in sorted(found.items())]


def _base(sample: str, kind: str) -> str:
    if kind in ("histogram", "summary"):
        for suffix in ("_bucket", "_count", "_sum"):
            if sample.endswith(suffix):
                return sample.removesuffix(suffix)
    return sample


def render(exporter: Exporter, versions: Mapping[str, str], metrics: Iterable[Recorded]) -> str:
    """The file's text. The same metrics give the same bytes."""
    lines = [
        f"# What {exporter.value} exports: recorded by `parlance metrics record`, do not edit.",
        "# " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        COLUMNS,
    ]
    lines += [f"{one.name}\t{one.kind}\t{','.join(sorted(one.labels))}" for one in metrics]
    return "\n".join(lines) + "\n"


@cache
def load(exporter: Exporter) -> Mapping[str, Recorded]:
    """The recorded metrics of an exporter by name. Raises FileNotFoundError where none were recorded."""
    text = (HERE / f"{exporter.value}.tsv").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        if line.startswith("#") or line == COLUMNS:
            continue
        name, kind, labels = line.split("\t")
        found[name] = Recorded(name, kind, frozenset(filter(None, labels.split(","))))
    return MappingProxyType(found)
