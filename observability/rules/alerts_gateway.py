"""Alerts on the gateway, on what expires, and on scrapes: what is not measured cannot alert."""

from __future__ import annotations

from functools import reduce

from observability import metrics
from observability.metric import Exporter
from observability.prometheus_metrics import UP
from observability.promql import Expr, absent, aggregate, increase, like, now, series
from observability.rules.rule import Alert, Severity

DAY_S = 86_400
NEAR_LIMIT = 0.8
# Probes are a second apart and learnt figures are published every ten: these are many that failed.
HEALTH_OLD_S = 120
LEARNT_OLD_S = 900
# Models and benchmarks of a year ago are no longer those of today.
EVIDENCE_OLD_DAYS = 365


def alerts(jobs: tuple[Exporter, ...]) -> tuple[Alert, ...]:
    """`jobs` are the scrape jobs that the fleet must have, the gateway's among them."""
    return (*_scrapes(jobs), *_worker(), *_expiry())


def _scrapes(jobs: tuple[Exporter, ...]) -> tuple[Alert, ...]:
    alerts = (
        Alert(
            "ParlanceGatewayDown",
            Severity.PAGE,
            series(UP, job=Exporter.GATEWAY.value).by().or_zero().equals(0),
            "2m",
            "no gateway worker answers a scrape",
            "No gateway worker answers scrapes",
            "Clients get no answers, or nothing knows whether they do: no gateway worker answered Prometheus.",
            ("gateway", "workers"),
        ),
        Alert(
            "ParlanceTargetDown",
            Severity.TICKET,
            # KubeRay's operator too, where it is scraped: a laptop has none, so that its absence is nothing.
            series(UP, job=like("|".join(job.value for job in (*jobs, Exporter.KUBERAY)))).equals(0),
            "5m",
            "a target of our scrape jobs does not answer",
            "{{ $labels.instance }} of {{ $labels.job }} does not answer scrapes",
            "What {{ $labels.instance }} would export is missing from every sum, and alerts on it are silent.",
            ("ray", "up"),
        ),
    )
    # Without any gateway target ParlanceGatewayDown fires already.
    missing = [absent(UP, job=job.value) for job in jobs if job is not Exporter.GATEWAY]
    if not missing:
        return alerts
    return (
        *alerts,
        Alert(
            "ParlanceScrapeMissing",
            Severity.TICKET,
            reduce(Expr.or_, missing),
            "10m",
            "Prometheus has no target of a scrape job that the fleet needs",
            "Prometheus scrapes nothing as {{ $labels.job }}",
            "The job {{ $labels.job }} has no target: alerts and panels on it are silent, and the autoscaler may be "
            "blind.",
            ("ray", "up"),
        ),
    )


def _worker() -> tuple[Alert, ...]:
    return (
        Alert(
            "ParlanceNearRequestLimit",
            Severity.TICKET,
            aggregate("max", series(metrics.OPEN) / series(metrics.OPEN_LIMIT), "instance").above(NEAR_LIMIT),
            "5m",
            f"a gateway worker holds over {NEAR_LIMIT:.0%} of the requests that it may",
            "{{ $labels.instance }} holds {{ $value | humanizePercentage }} of the requests that it may",
            "At 100% {{ $labels.instance }} refuses with 429, whatever the models have room for.",
            ("gateway", "open-requests"),
        ),
        Alert(
            "ParlanceInputOld",
            Severity.TICKET,
            _age("health").above(HEALTH_OLD_S).or_(_age("learnt").above(LEARNT_OLD_S)),
            "5m",
            f"what decisions rest on was not renewed: health for {HEALTH_OLD_S} s, learnt for {LEARNT_OLD_S} s",
            "The {{ $labels.input }} that {{ $labels.instance }} decides by is {{ $value | humanizeDuration }} old",
            "{{ $labels.instance }} goes on deciding by what it knew then.",
            ("routing", "input-age"),
            labels={"of": "gateway"},
        ),
        Alert(
            "ParlanceInputOld",
            Severity.INFO,
            (now() - aggregate("min", series(metrics.INPUT_TIME, input="evidence"))).above(EVIDENCE_OLD_DAYS * DAY_S),
            "1h",
            f"the youngest evidence of quality is over {EVIDENCE_OLD_DAYS} days old",
            "The youngest evidence of quality is {{ $value | humanizeDuration }} old",
            "Models are chosen by benchmarks that are over a year old.",
            ("routing", "input-age"),
            labels={"of": "evidence"},
        ),
        Alert(
            "ParlanceLogEntriesLost",
            Severity.TICKET,
            increase(metrics.LOG_LOST, "15m").by("instance", "log").above(0),
            "5m",
            "entries of a log could not be written within 15m",
            "{{ $labels.instance }} lost {{ $value | humanize }} entries of {{ $labels.log }} in 15 minutes",
            "Requests are served. What {{ $labels.log }} should say of them is gone: the disk is full, or nobody "
            "reads the pipe.",
            ("gateway", "log-lost"),
        ),
    )


def _expiry() -> tuple[Alert, ...]:
    return (
        _certificate(Severity.TICKET, 14),
        _certificate(Severity.PAGE, 2),
        _key(Severity.INFO, 14),
        _key(Severity.TICKET, 3),
    )


def _certificate(severity: Severity, days: int) -> Alert:
    return Alert(
        "ParlanceCertificateExpires",
        severity,
        (aggregate("min", series(metrics.CERTIFICATE_EXPIRY), "model") - now()).below(days * DAY_S),
        "1h",
        f"the certificate of an upstream expires within {days} days",
        "The certificate of {{ $labels.model }}'s upstream expires in {{ $value | humanizeDuration }}",
        "From then on the gateway refuses to talk to the upstream of {{ $labels.model }}, and the model is down.",
        ("gateway", "certificate-expiry"),
    )


def _key(severity: Severity, days: int) -> Alert:
    return Alert(
        "ParlanceKeyExpires",
        severity,
        (aggregate("min", series(metrics.KEY_EXPIRY), "tenant") - now()).below(days * DAY_S),
        "1h",
        f"an API key of a tenant expires within {days} days",
        "An API key of {{ $labels.tenant }} expires in {{ $value | humanizeDuration }}",
        "From then on requests of {{ $labels.tenant }} with that key get 401.",
        ("gateway", "key-expiry"),
    )


def _age(name: str) -> Expr:
    """Seconds since an input of a worker was renewed."""
    return now() - aggregate("min", series(metrics.INPUT_TIME, input=name), "input", "instance")
