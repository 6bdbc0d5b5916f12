"""The tables of docs/network.md: for every port of a release who reaches it, and for every pod what it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests.support.reach import End, Policy, reaches

INTERNET = "internet"
RAY = {
    6379: "GCS",
    8000: "HAProxy: requests",
    8080: "metrics of Ray",
    8265: "dashboard: Ray's API",
    8404: "HAProxy's statistics",
    8500: "fallback proxy",
    9101: "metrics of HAProxy",
    10001: "Ray client",
    30000: "replicas",
    44217: "metrics of Ray's autoscaler",
    44227: "metrics of the dashboard",
    52365: "Ray's agent",
}
PORTS: Mapping[str, Mapping[int, str]] = {
    "gateway": {8080: "clients", 8081: "operators, metrics"},
    "autoscaler": {8082: "plan, metrics"},
    "prometheus": {9090: "queries"},
    "test": {8080: "nothing listens"},
    "head": RAY,
    "worker": RAY,
    "DNS": {53: "names"},
    "monitoring": {9090: "Prometheus"},
    "Redis": {6379: "Redis"},
    "API server": {443: "Kubernetes", 6443: "Kubernetes"},
    "metadata service": {80: "a cloud's credentials", 443: "a cloud's credentials"},
    INTERNET: {80: "HTTP", 443: "HTTPS", 6443: "Kubernetes"},
}


def ports_of(end: str) -> Mapping[int, str]:
    """What is asked of an end, by port; `head a` is a head. Empty for ends that only call."""
    return PORTS.get(end, PORTS.get(end.split()[0], {}))


def callers(policies: Iterable[Policy], ends: Iterable[End], target: End, port: int) -> list[str]:
    """Names of those that reach a port, but for the target itself."""
    known = list(policies)
    return [end.name for end in ends if end != target and reaches(known, end, target, port)]


def markdown(policies: Iterable[Policy], release: Mapping[str, End], around: Mapping[str, End]) -> str:
    """Both tables."""
    known = list(policies)
    return "\n".join((*_reached(known, release, around), "", *_reaching(known, release, around))) + "\n"


def _reached(policies: list[Policy], release: Mapping[str, End], around: Mapping[str, End]) -> Iterator[str]:
    everybody = [*release.values(), *around.values()]
    yield "| pod | port | what listens | who reaches it |"
    yield "|---|---|---|---|"
    for name, target in release.items():
        for port, what in ports_of(name).items():
            found = callers(policies, everybody, target, port)
            strangers = all(one.name in found for one in around.values())
            words = "everybody from outside the release" if strangers else ", ".join(found) or "nobody"
            if strangers and (ours := [one for one in found if one in release]):
                words += f"; {', '.join(ours)}"
            yield f"| {name} | {port} | {what} | {words} |"


def _reaching(policies: list[Policy], release: Mapping[str, End], around: Mapping[str, End]) -> Iterator[str]:
    yield "| pod | what it reaches outside the release |"
    yield "|---|---|"
    for name, source in release.items():
        found = [
            f"{target.name} {port}"
            for target in around.values()
            for port in ports_of(target.name)
            if reaches(policies, source, target, port, "UDP" if port == 53 else "TCP")
        ]
        yield f"| {name} | {', '.join(found) or 'nothing'} |"
