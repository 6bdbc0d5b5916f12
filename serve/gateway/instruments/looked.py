"""What is not counted but looked at when it is scraped: load, health, and the age of what decisions rest on."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from serve.gateway.instruments.families import NONE, Labels

if TYPE_CHECKING:
    from serve.gateway.worker import Worker


def look(worker: Worker) -> None:
    """Brings the worker's gauges up to date."""
    to = worker.instruments
    to.open.set(NONE, worker.in_flight)
    to.open_limit.set(NONE, worker.settings.limits.in_flight)
    to.connections.set(NONE, worker.connections())
    certificates: dict[Labels, float] = {}
    for model_id, upstream in worker.upstreams.items():
        state, expires = upstream.state, upstream.pool.certificate_expires
        to.in_flight.set((model_id,), state.in_flight)
        to.healthy.set((model_id,), state.healthy)
        to.expected_wait.set((model_id,), state.wait_s)
        if model_id in worker.waking.rooms:
            to.waking.set((model_id,), worker.waking.held(model_id))
        if expires is not None:
            certificates[(model_id,)] = expires
    to.certificate_expiry.keep(certificates)
    to.key_expiry.keep(key_expiries(worker))
    worker.ledger.show()
    to.input_time.keep({(name,): at for name, at in input_times(worker).items()})


def key_expiries(worker: Worker) -> dict[Labels, float]:
    """The next expiry of a working key, by tenant as the label has it."""
    soonest: dict[Labels, float] = {}
    for tenant, until in worker.keyring.expiries().items():  # the soonest first
        soonest.setdefault((worker.instruments.tenants.of(tenant),), until)
    return soonest


def input_times(worker: Worker) -> dict[str, float]:
    """When each input was last renewed, in seconds since the epoch. What does not exist, or was never had, is absent:
    keys where none are configured, probes where every model is an endpoint of others."""
    read = worker.started_at.timestamp()
    found = {"fleet": read, "learnt": worker.learning.published}
    if not worker.keyring.open:
        found["keys"] = read
    if worker.fleet.evidence_date:
        day = date.fromisoformat(worker.fleet.evidence_date)
        found["evidence"] = datetime.combine(day, time(), UTC).timestamp()
    if worker.shifts.planned_at is not None:
        found["plan"] = worker.shifts.planned_at
    probes = [upstream.probed_at for upstream in worker.upstreams.values() if upstream.probed]
    if probes and all(probes):
        found["health"] = min(probes)
    return found
