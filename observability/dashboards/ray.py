"""Ray and nodes: what everything stands on: scrape targets, nodes, replicas, HAProxy."""

from __future__ import annotations

from observability import foreign
from observability.dashboards.asking import CHOSEN, amount, count, each_second, largest, seen
from observability.dashboards.panel import (
    Colour,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Scale,
    State,
    Threshold,
    targets,
)
from observability.prometheus_metrics import UP
from observability.promql import aggregate, series
from serve.fleet.slo import Slo

# Ray Serve's numbers for the state of an application (ray.serve.schema.ApplicationStatus.to_numeric).
APPLICATION = (
    State(0, "unknown", Colour.NEUTRAL),
    State(1, "deploy failed", Colour.BAD),
    State(2, "unhealthy", Colour.BAD),
    State(3, "not started", Colour.WARN),
    State(4, "deleting", Colour.WARN),
    State(5, "deploying", Colour.WARN),
    State(6, "running", Colour.GOOD),
)


def dashboard(_slo: Slo) -> Dashboard:
    """The dashboard."""
    return Dashboard(
        "ray",
        "Parlance / Ray and nodes",
        "What the fleet stands on: whether everything answers scrapes, nodes and what they have left, Ray Serve's "
        "replicas, and HAProxy between the gateway and them.",
        targets(UP),
        (
            Row("Scrape targets and nodes", _targets()),
            Row("Ray Serve", _serve()),
            Row("HAProxy", _haproxy()),
        ),
    )


def _targets() -> tuple[Panel, ...]:
    used = largest(foreign.NODE_MEMORY_USED, "ip")
    memory = used.per(largest(foreign.NODE_MEMORY_TOTAL, "ip"))
    return (
        Panel(
            "up",
            "Targets that answer scrapes",
            "Every scrape target of every job. Down: the process is gone, or the network between; panels that rest "
            "on it stand still until it is back. `ray` down on the head means no scaling and no new replicas.",
            (Query(aggregate("min", series(UP, **CHOSEN), "job", "instance"), "{{instance}} {{job}}"),),
            Kind.STAT,
            Scale.NUMBER,
            width=12,
            height=8,
            base=Colour.BAD,
            thresholds=(Threshold(1, Colour.GOOD),),
            states=(State(0, "down", Colour.BAD), State(1, "up", Colour.GOOD)),
            empty="no targets",
        ),
        Panel(
            "nodes",
            "Nodes",
            "Nodes of the Ray cluster by type. A missing one takes its replicas along; Kubernetes' events or the "
            "machine itself say why.",
            (Query(largest(foreign.NODES, "node_type"), "{{node_type}}"),),
            width=6,
        ),
        Panel(
            "targets",
            "Targets by job",
            "How many targets each job has: fewer than pods or workers means that discovery does not find one.",
            (Query(count(UP, "job"), "{{job}}"),),
            Kind.BARS,
            Scale.NUMBER,
            width=6,
            base=Colour.NEUTRAL,
            empty="no targets",
        ),
        Panel(
            "node-cpu",
            "CPU of the nodes",
            "In use. Near 100 % on a node with engines, they wait for their own tokens to be sorted out; on the head, "
            "Serve's health checks come late. Give engines and gateway CPUs of their own.",
            (Query(largest(foreign.NODE_CPU, "ip"), "{{ip}}"),),
            scale=Scale.PERCENT,
            width=12,
            most=100,
            thresholds=(Threshold(90, Colour.WARN),),
        ),
        Panel(
            "node-memory",
            "Memory and disk of the nodes",
            "In use. Ray kills workers above 95 % of the memory; a full disk stops the ledger, the logs and Ray's own "
            "spilling.",
            (
                Query(memory, "{{ip}}, memory"),
                Query(largest(foreign.NODE_DISK, "ip") / 100, "{{ip}}, disk"),
            ),
            scale=Scale.SHARE,
            width=12,
            most=1,
            thresholds=(Threshold(0.85, Colour.WARN), Threshold(0.95, Colour.BAD)),
        ),
    )


def _serve() -> tuple[Panel, ...]:
    status = largest(foreign.SERVE_APPLICATION, "application")
    return (
        Panel(
            "replicas-healthy",
            "Healthy replicas",
            "Replicas that answer Ray Serve's health checks, by application (one a model). Fewer than asked for: "
            "one is starting, was killed (memory, see above) or finds no node.",
            (Query(amount(foreign.SERVE_REPLICA_HEALTHY, "application"), "{{application}}"),),
            scale=Scale.NUMBER,
        ),
        Panel(
            "replica-starts",
            "Replicas that ever started",
            "Each step up is a start, by application. More steps than the plan's changes (Autoscaling): replicas die "
            "and come back; Ray's dashboard has the log of the one that died. Steps every few minutes are a loop "
            "that only a person ends.",
            (Query(amount(foreign.SERVE_REPLICA_STARTS, "application"), "{{application}}"),),
            scale=Scale.NUMBER,
        ),
        Panel(
            "replica-target",
            "Replicas asked for",
            "Ray Serve's own target: what the autoscaler last told it. Other than Autoscaling's planned: plans are not "
            "applied.",
            (Query(largest(foreign.SERVE_TARGET, "application"), "{{application}}"),),
            scale=Scale.NUMBER,
        ),
        Panel(
            "replica-requests",
            "Requests that replicas took",
            "By application. Far from the gateway's Requests by model: somebody asks Ray Serve past the gateway, "
            "with no key and no budget; close its port (network policy).",
            (Query(each_second(foreign.SERVE_REQUESTS, "application"), "{{application}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            width=12,
        ),
        Panel(
            "application-status",
            "Applications",
            "Ray Serve's word on each application. deploy failed: the description or the weights; Ray's dashboard "
            "shows the exception. unhealthy: replicas fail their checks.",
            (Query(status, "{{application}}"),),
            Kind.STAT,
            Scale.NUMBER,
            width=12,
            base=Colour.BAD,
            thresholds=(Threshold(3, Colour.WARN), Threshold(6, Colour.GOOD)),
            states=APPLICATION,
            empty="no applications",
        ),
    )


def _haproxy() -> tuple[Panel, ...]:
    held, may = amount(foreign.HAPROXY_CONNECTIONS), amount(foreign.HAPROXY_LIMIT)
    return (
        Panel(
            "haproxy-servers",
            "Servers that are up",
            "Replicas that HAProxy sends requests to, by backend. 0: every request of that model fails; compare "
            "with Healthy replicas, and see HAProxy against Ray Serve.",
            (Query(amount(foreign.HAPROXY_SERVERS, "proxy"), "{{proxy}}"),),
            scale=Scale.NUMBER,
        ),
        Panel(
            "haproxy-sessions",
            "Requests in HAProxy",
            "Being served, by backend. More than the gateway's own count of a model: others ask past the gateway.",
            (Query(amount(foreign.HAPROXY_SESSIONS, "proxy"), "{{proxy}}"),),
        ),
        Panel(
            "haproxy-responses",
            "Answers of the backends",
            "By class of status. 5xx with healthy replicas: connections are refused or reset (502, 503 and 504 "
            "come out as 500). The counters start anew when HAProxy reloads.",
            (Query(seen(foreign.HAPROXY_RESPONSES, "proxy", "code"), "{{proxy}}: {{code}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            empty="no traffic",
        ),
        Panel(
            "haproxy-connections",
            "Connections of HAProxy, of the most it takes",
            "At 1 new ones wait in the kernel. Long streams hold one each: raise its maxconn, or add nodes.",
            (Query(held.per(may), "connections"),),
            scale=Scale.SHARE,
            width=12,
            most=1,
            thresholds=(Threshold(0.8, Colour.WARN), Threshold(0.95, Colour.BAD)),
        ),
        Panel(
            "haproxy-mismatch",
            "HAProxy against Ray Serve",
            "Whether HAProxy's servers are the replicas that there are, by node. Different for longer than a "
            "reload: it sends requests to replicas that are gone; Ray Serve's controller log says why.",
            (Query(largest(foreign.SERVE_HAPROXY_MISMATCH, "node_id"), "{{node_id}}"),),
            Kind.STAT,
            Scale.NUMBER,
            width=12,
            thresholds=(Threshold(1, Colour.BAD),),
            states=(State(0, "agree", Colour.GOOD), State(1, "differ", Colour.BAD)),
            empty="no HAProxy",
        ),
    )
