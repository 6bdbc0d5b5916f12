"""The gateway, scrapes, and what expires. promtool's clock begins at the epoch."""

from __future__ import annotations

from observability import metrics
from observability.metric import Exporter
from observability.prometheus_metrics import UP
from tests.support.alerts.case import Case, Expected, Fires, Input, Quiet, given

PAGE, TICKET, INFO = {"severity": "page"}, {"severity": "ticket"}, {"severity": "info"}
DAY = 86_400


def _up(values: str, job: Exporter = Exporter.GATEWAY, worker: str = "a:1") -> Input:
    return given(UP, values, job=job.value, instance=worker)


def _renewed(name: str, values: str, worker: str = "a:1") -> Input:
    return given(metrics.INPUT_TIME, values, input=name, instance=worker)


def _held(values: str, worker: str = "a:1") -> tuple[Input, ...]:
    return given(metrics.OPEN, values, instance=worker), given(metrics.OPEN_LIMIT, "100x60", instance=worker)


def _certificate(expires: int) -> Input:
    return given(metrics.CERTIFICATE_EXPIRY, f"{expires}x180", model="m")


def _key(expires: int) -> Input:
    return given(metrics.KEY_EXPIRY, f"{expires}x180", tenant="acme")


_SCRAPES: tuple[Case, ...] = (
    Fires(
        "ParlanceGatewayDown",
        "both workers stop to answer",
        (_up("1x9 0x20"), _up("1x8 0x20", worker="b:1")),
        "10m",
        (Expected(PAGE, "No gateway worker answers scrapes"),),
    ),
    Fires(
        "ParlanceGatewayDown",
        "Prometheus has no gateway to scrape",
        (_up("1x30", Exporter.RAY),),
        "0m",
        (Expected(PAGE, "No gateway worker answers scrapes"),),
    ),
    Quiet("ParlanceGatewayDown", "one of two answers", (_up("1x30"), _up("1x8 0x20", worker="b:1")), ("9m", "20m")),
    Fires(
        "ParlanceTargetDown",
        "one of two workers stops to answer",
        (_up("1x30"), _up("1x9 0x20", worker="b:1")),
        "10m",
        (
            Expected(
                {**TICKET, "job": "parlance-gateway", "instance": "b:1"},
                "b:1 of parlance-gateway does not answer scrapes",
            ),
        ),
    ),
    Quiet("ParlanceTargetDown", "scrapes fail now and then", (_up("1x3 0x3 1x3 0x3 1x30"),), ("3m", "9m", "30m")),
    Quiet("ParlanceTargetDown", "a target of somebody else's", (given(UP, "0x30", job="node"),), ("20m",)),
    Fires(
        "ParlanceScrapeMissing",
        "Ray's target was forgotten",
        (_up("1x30"), _up("1x30", Exporter.AUTOSCALER), _up("0x30", Exporter.HAPROXY)),
        "0m",
        (Expected({**TICKET, "job": "ray"}, "Prometheus scrapes nothing as ray"),),
    ),
    Quiet(
        "ParlanceScrapeMissing",
        "all are there, even those that are down",
        (_up("1x30"), _up("0x30", Exporter.AUTOSCALER), _up("1x30", Exporter.HAPROXY), _up("1x30", Exporter.RAY)),
        ("20m",),
    ),
)

_WORKER: tuple[Case, ...] = (
    Fires(
        "ParlanceNearRequestLimit",
        "81 of 100",
        (*_held("10x9 81x30"), *_held("10x60", "b:1")),
        "10m",
        (Expected({**TICKET, "instance": "a:1"}, "a:1 holds 81% of the requests that it may"),),
    ),
    Quiet("ParlanceNearRequestLimit", "79 of 100", _held("79x60"), ("30m",)),
    Fires(
        "ParlanceInputOld",
        "probes end at the tenth minute",
        (_renewed("health", "0+60x10 600x30"),),
        "13m",
        (
            Expected(
                {**TICKET, "of": "gateway", "input": "health", "instance": "a:1"},
                "The health that a:1 decides by is 8m 0s old",
            ),
        ),
    ),
    Fires(
        "ParlanceInputOld",
        "nothing learnt is published after the tenth minute",
        (_renewed("learnt", "0+60x10 600x60"), _renewed("learnt", "0+60x80", "b:1")),
        "26m",
        (
            Expected(
                {**TICKET, "of": "gateway", "input": "learnt", "instance": "a:1"},
                "The learnt that a:1 decides by is 21m 0s old",
            ),
        ),
    ),
    Quiet(
        "ParlanceInputOld",
        "two minutes and a quarter of an hour are within bounds, and the fleet was read long ago",
        (_renewed("health", "-120+60x60"), _renewed("learnt", "-900+60x60"), _renewed("fleet", "-9999999x60")),
        ("5m", "50m"),
    ),
    Fires(
        "ParlanceInputOld",
        "the youngest evidence becomes a year old",
        (_renewed("evidence", f"{600 - 365 * DAY}x120"),),
        "11m",
        (
            Expected(
                {**INFO, "of": "evidence"},
                "The youngest evidence of quality is 365d 1h 1m 0s old",
            ),
        ),
    ),
    Quiet("ParlanceInputOld", "evidence of 364 days", (_renewed("evidence", f"{-364 * DAY}x120"),), ("90m",)),
    Fires(
        "ParlanceLogEntriesLost",
        "three lines are lost",
        (given(metrics.LOG_LOST, "0x9 3x30", log="decisions"), given(metrics.LOG_LOST, "0x40", log="journal")),
        "10m",
        (Expected({**TICKET, "instance": "a:1", "log": "decisions"}, "a:1 lost 3 entries of decisions in 15 minutes"),),
    ),
    Quiet("ParlanceLogEntriesLost", "a restart", (given(metrics.LOG_LOST, "9x9 0x60", log="journal"),), ("10m", "30m")),
)

_EXPIRY: tuple[Case, ...] = (
    Fires(
        "ParlanceCertificateExpires",
        "two weeks are left",
        (_certificate(14 * DAY + 600),),
        "11m",
        (Expected({**TICKET, "model": "m"}, "The certificate of m's upstream expires in 13d 22h 59m 0s"),),
    ),
    Fires(
        "ParlanceCertificateExpires",
        "two days are left",
        (_certificate(2 * DAY + 600),),
        "11m",
        (
            Expected({**PAGE, "model": "m"}, "The certificate of m's upstream expires in 1d 22h 59m 0s"),
            Expected({**TICKET, "model": "m"}, "The certificate of m's upstream expires in 1d 22h 59m 0s"),
        ),
    ),
    Quiet("ParlanceCertificateExpires", "15 days are left", (_certificate(15 * DAY),), ("2h",)),
    Quiet("ParlanceCertificateExpires", "two days and more are no page", (_certificate(3 * DAY),), ("2h",), PAGE),
    Quiet("ParlanceCertificateExpires", "no upstream shows one", (), ("2h",)),
    Fires(
        "ParlanceKeyExpires",
        "two weeks are left",
        (_key(14 * DAY + 600),),
        "11m",
        (Expected({**INFO, "tenant": "acme"}, "An API key of acme expires in 13d 22h 59m 0s"),),
    ),
    Fires(
        "ParlanceKeyExpires",
        "three days are left",
        (_key(3 * DAY + 600),),
        "11m",
        (
            Expected({**TICKET, "tenant": "acme"}, "An API key of acme expires in 2d 22h 59m 0s"),
            Expected({**INFO, "tenant": "acme"}, "An API key of acme expires in 2d 22h 59m 0s"),
        ),
    ),
    Quiet("ParlanceKeyExpires", "15 days are left", (_key(15 * DAY),), ("2h",)),
    Quiet("ParlanceKeyExpires", "four days are no ticket", (_key(4 * DAY),), ("2h",), TICKET),
)

CASES: tuple[Case, ...] = (*_SCRAPES, *_WORKER, *_EXPIRY)
