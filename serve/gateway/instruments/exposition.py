"""The text that Prometheus reads, made a slice at a time between other work of the loop that serves requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import Metric as Collected
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Sample

from serve.gateway.instruments.families import Family, Registry, escaped, exemplar, line_start, number

# Lines at a time: about 0.3 ms, less than a request takes. A child's lines are never parted.
SLICE = 256


async def expose(registry: Registry, accept: str) -> tuple[bytes, str]:
    """The text of all families and its content type, as the scraper's Accept header asks for it."""
    _, content_type = choose_encoder(accept)
    parts = []
    for part in slices(registry, content_type.startswith("application/openmetrics-text")):
        parts.append(part)
        await asyncio.sleep(0)
    return "".join(parts).encode(), content_type


def slices(registry: Registry, openmetrics: bool) -> Iterator[str]:
    """The same in parts of `SLICE` lines or a little more."""
    out: list[str] = []
    lines = 0
    for collector in tuple(registry.collectors):
        if isinstance(collector, Family):
            (family,) = collector.describe()
            out.append(head(family, openmetrics))
            for labels in collector.children():
                text = collector.text(labels, openmetrics)
                out.append(text)
                lines += text.count("\n")
                if lines >= SLICE:
                    yield "".join(out)
                    out, lines = [], 0
            continue
        for family in collector.collect():  # prometheus_client's own, which are few
            # Without the times at which children came into being: as many series again, which no query reads.
            samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            out.append(head(family, openmetrics))
            out.extend(_line(sample, openmetrics) for sample in samples)
            lines += len(samples)
    if openmetrics:
        out.append("# EOF\n")
    yield "".join(out)


def head(family: Collected, openmetrics: bool) -> str:
    """The lines before a family's samples. A counter is called without its suffix in OpenMetrics, with it elsewhere."""
    if openmetrics:
        return f"# HELP {family.name} {escaped(family.documentation)}\n# TYPE {family.name} {family.type}\n"
    name = f"{family.name}_total" if family.type == "counter" else family.name
    text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {family.type}\n"


def _line(sample: Sample, openmetrics: bool) -> str:
    example = exemplar(sample.exemplar) if openmetrics and sample.exemplar is not None else ""
    return f"{line_start(sample.name, sample.labels)}{number(sample.value)}{example}\n"
