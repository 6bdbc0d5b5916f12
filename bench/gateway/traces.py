"""What traces cost a request: off, sampled out, at the default rate, and every one.

    python bench/gateway/traces.py [--rounds 5] [--steps-only]

Steps: each alone, in CPU time of this process, the best of many runs; beside them, as a yardstick, the log line of the
same request.
Gateways: four processes that differ in `gateway.traces` alone, and HAProxy, in turns under the same load; CPU is what
the kernel accounted to the process, threads included, so that what the exporter's thread does is in it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import measure
import msgspec
import yaml
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from serve.fleet import loader
from serve.fleet.traces import Traces
from serve.gateway.auth import ANYONE
from serve.gateway.choice import Chosen
from serve.gateway.moments import Attempt, Moments
from serve.gateway.record import Finished, record_of
from serve.gateway.stream import Usage
from serve.gateway.trace_context import Sampling, TraceContext, new_span_id
from serve.gateway.trace_export import BATCH_SPANS, Export
from serve.gateway.trace_spans import Target, spans_of
from serve.routing.decide import decide_observed
from serve.routing.observe import observe
from serve.routing.records import Endpoint, Request

SINK, FIRST = 21070, 21101  # ports: the collector's; the gateways', two each
VARIANTS: dict[str, dict[str, Any]] = {
    "off": {},
    "sampled out": {"sample_ratio": 0},
    "100 a second": {},
    "every request": {"requests_per_s": 100_000},
}
HEADERS = [(b"host", b"x"), (b"content-type", b"application/json"), (b"authorization", b"Bearer x")] * 3
PARENT = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


class Nowhere(SpanExporter):
    """Takes every batch, encoded as the real exporter does it, and sends nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encodes."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        encode_spans(spans).SerializePartialToString()
        return SpanExportResult.SUCCESS


def best_us(step: Callable[[], object], runs: int = 40, times: int = 200) -> float:
    """Microseconds of CPU of one call: the best of `runs` means over `times` calls; other work can only lengthen it."""
    means = []
    for _ in range(runs):
        began = time.thread_time()
        for _ in range(times):
            step()
        means.append((time.thread_time() - began) / times)
    return min(means) * 1e6


def finished() -> Finished:
    """A streamed request of the laptop's fleet, as the book gets it."""
    fleet = loader.load(loader.LAPTOP)
    request = Request(
        text="Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht.", characters=80
    )
    observed = observe(request)
    decision = decide_observed(observed, request, fleet, {}, time.time())
    model = decision.ranking[0]
    moments = Moments(1.0, 1.001, 1.002, 1.2, 2.0, [Attempt(model, 1.0021, 1.0022, 1.199, 1.9999, "", 5)])
    return Finished(
        time.time(), "req-1", "req-2", Endpoint.CHAT, 200, ANYONE, 1, model,
        Chosen(decision, request, observed, {}, 0.001), moments, Usage(20, 0, 64), 4200, None,
        trace=TraceContext(7, 9, 3),
    )  # fmt: skip


def steps() -> None:
    """Prints what each step costs."""
    done = finished()
    targets = {done.model or "": Target("127.0.0.1", 8000, "m", True)}
    sampling = Sampling(Traces(requests_per_s=100_000))
    out = Sampling(Traces(sample_ratio=0))
    encoder = msgspec.json.Encoder()
    context = done.trace
    assert context is not None

    class Off:
        traces: None = None

    off = Off()

    def asks() -> object:
        return (None if off.traces is None else 1), off.traces is not None, off.traces is not None

    def ids(sampling: Sampling, headers: list[tuple[bytes, bytes]]) -> Callable[[], object]:
        return lambda: sampling.begin(headers, time.perf_counter()).header_lines(new_span_id(), True)

    export = Export("http://127.0.0.1:9/v1/traces", 1_000_000)
    export.close(lambda: None)  # its thread ends: spans are made below, and go no further
    records = spans_of(done, context, targets)
    made: list[ReadableSpan] = []
    tracer: Any = export._tracer
    tracer.span_processor.on_end = made.append
    rows = [
        ("the journal's line, as a yardstick", best_us(lambda: encoder.encode(record_of(done)))),
        ("off: what is asked of a request", best_us(asks)),
        ("sampled out: ids, and what the engine is told", best_us(ids(out, HEADERS))),
        ("sampled: the same, continuing a caller's trace", best_us(ids(sampling, [*HEADERS, PARENT]))),
        ("sampled: its spans as data", best_us(lambda: spans_of(done, context, targets))),
        (f"sampled: {len(records)} spans by the SDK", best_us(lambda: export.add(context, records), 100, 10)),
    ]
    requests = BATCH_SPANS // len(records)
    batch = made[: requests * len(records)]
    nowhere = Nowhere()
    encoding = best_us(lambda: nowhere.export(batch), 100, 3) / requests
    rows.append(("sampled: encoding them, in the exporter's thread", encoding))
    print(f"{'us a request':52}")
    for name, cost in rows:
        print(f"  {name:50}{cost:8.2f}")


def sink() -> None:
    """A collector that takes everything and looks at nothing, until it is ended."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    HTTPServer(("127.0.0.1", SINK), Handler).serve_forever()


def gateways(rounds: int, seconds: float) -> int:
    """Prints what gateways use; 1 when an answer was an error."""
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "haproxy.cfg").write_text(measure.CONFIG)
        (directory / "keys.yaml").write_bytes((measure.HERE / "keys.yaml").read_bytes())
        started = [
            measure.on_core(0, sys.executable, str(measure.HERE / "peers.py"), "engine", str(measure.ENGINE)),
            measure.on_core(0, sys.executable, __file__, "--sink"),
            measure.on_core(1, measure.haproxy(), "-f", str(directory / "haproxy.cfg"), "-db"),
        ]
        who = {"HAProxy": (measure.HAPROXY, started[2].pid)}
        fleet = yaml.safe_load((measure.HERE / "fleet.yaml").read_text())
        for number, (name, traces) in enumerate(VARIANTS.items()):
            path, port = directory / f"{number}.yaml", FIRST + 2 * number
            over = {} if name == "off" else {"traces": {"endpoint": f"http://127.0.0.1:{SINK}/v1/traces", **traces}}
            path.write_text(yaml.safe_dump({**fleet, "gateway": {**fleet["gateway"], **over}}))
            command = [sys.executable, "-m", "serve.cli", "gateway", "--fleet", str(path), "--port", str(port)]
            with (directory / "log").open("ab") as log:
                process = measure.on_core(1, *command, "--admin-port", str(port + 1), stdout=log, stderr=log)
            started.append(process)
            who[name] = (port, process.pid)
        for process in started:
            stack.callback(measure.end, process)
        for port, _ in list(who.values())[1:]:
            measure.wait_for(f"http://127.0.0.1:{port + 1}/readyz")
            measure.load(port, False, 8, 1)
        for number in range(rounds):
            for name, (port, pid) in sorted(who.items(), reverse=bool(number % 2)):
                before = measure.cpu_s(pid)
                seen = measure.load(port, False, 16, seconds)
                time.sleep(1.2)  # what waits is sent, and belongs to this phase
                cost = (measure.cpu_s(pid) - before) / max(len(seen["answers"]), 1) * 1e6
                rows.append({"who": name, "us": cost, "rate": len(seen["answers"]) / seconds, **seen})
    print(f"{'CPU of the process':24}{'us a request':>14}{'beside off':>12}{'requests a second':>20}")
    medians = {name: statistics.median(r["us"] for r in rows if r["who"] == name) for name in who}
    for name in who:
        rate = statistics.median(r["rate"] for r in rows if r["who"] == name)
        print(f"  {name:22}{medians[name]:14.0f}{medians[name] - medians['off']:+12.0f}{rate:20.0f}")
    errors = [row["error"] for row in rows if row["errors"]]
    print(f"errors: {len(errors)} {errors[0] if errors else ''}")
    return 1 if errors else 0


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each phase")
    parser.add_argument("--steps-only", action="store_true")
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.sink:
        sink()
    steps()
    if args.steps_only:
        return 0
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed: one for the peers, one for what is measured")
    return gateways(args.rounds, args.seconds)


if __name__ == "__main__":
    sys.exit(main())
