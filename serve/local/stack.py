"""Brings the stack up, tells how it is, and takes it down: what `parlance up`, `status` and `down` do."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serve.engines.config import serve_config
from serve.engines.flags import Weights, weights
from serve.errors import LocalError
from serve.fleet import Model
from serve.fleet.loader import LAPTOP
from serve.local import (
    autoscaler_process,
    gateway_process,
    ports,
    preflight,
    processes,
    prometheus_process,
    ray_node,
    serve_api,
)
from serve.local.child import Child
from serve.local.plan import Plan, plan
from serve.local.progress import Step, View, proxy_step, step
from serve.local.state import LOOPBACK, State, Store, loopback

POLL_S = 1.0
HEALTH_TIMEOUT_S = 2.0
DEPLOY_TIMEOUT_S = 120.0
GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for."""

    fleet: Path = LAPTOP
    models: Sequence[str] = ()
    substitutes: Mapping[str, str] = field(default_factory=dict)
    gateway: bool = True
    prometheus: bool = True  # where it is installed; with it comes the autoscaler, which reads it
    timeout_s: float = 900

    @property
    def observers(self) -> bool:
        """Whether Prometheus and the autoscaler are started: they watch what goes through the gateway."""
        return self.gateway and self.prometheus and prometheus_process.program() is not None


@dataclass(frozen=True, slots=True)
class Health:
    """What answers at this moment."""

    models: dict[str, bool]
    parts: dict[str, bool]  # gateway, Prometheus, autoscaler: those that the stack has

    @property
    def ill(self) -> list[str]:
        """What does not answer."""
        return [name for name, well in (*self.models.items(), *self.parts.items()) if not well]


def up(options: Options, store: Store, view: View) -> tuple[State, Plan]:
    """A running stack: the one that runs already when it is the same, else a new one.

    Raises LocalError or DescriptionError; what had been started is ended first, as it is upon KeyboardInterrupt.
    """
    with store.lock():
        wanted = plan(options.fleet, options.models, options.substitutes, store.root)
        existing = store.load()
        if existing is not None:
            if _reusable(existing, wanted, options, store, view):
                return existing, wanted
            _end(existing, store)
        state = _prepare(wanted, options)
        try:
            _start(state, wanted, options, store, view)
        except BaseException:
            view.line("Ending what was started ...")
            _end(state, store)
            raise
        return state, wanted


def _reusable(state: State, wanted: Plan, options: Options, store: Store, view: View) -> bool:
    """Whether the recorded stack is the one that is wanted, and well.

    False when nothing of it lives or it never became ready. Raises LocalError when a person must choose.
    """
    alive = processes.find(state.marker, state.sessions)
    if not alive:
        view.line("The last stack ended without `parlance down`; its remains are removed.")
        return False
    if state.phase != "ready":
        view.line(f"An unfinished start of {time.strftime('%H:%M', time.localtime(state.started_at))} is removed.")
        return False
    if state.digest != wanted.digest or (state.gateway_url is not None) != options.gateway:
        raise LocalError(
            f"another stack runs from {store.root} ({state.fleet}: {', '.join(state.models)}): `parlance down` first"
        )
    if ill := health(state).ill:
        raise LocalError(
            f"the stack runs, but {', '.join(ill)} {'does' if len(ill) == 1 else 'do'} not answer: a dead engine "
            f"returns by itself within two minutes; else `parlance down`, and see {store.logs}"
        )
    view.line("The stack runs already.")
    return True


def _prepare(wanted: Plan, options: Options) -> State:
    """Every check that can fail, and the record of what is about to start."""
    preflight.check_platform()
    name = preflight.check_engines(wanted.engines)
    preflight.check_memory(
        preflight.memory(wanted.engines, options.gateway, wanted.substitutes.keys(), options.observers),
        preflight.available_memory(),
    )
    cluster = wanted.fleet.clusters[name]
    chosen = ports.choose(wanted.fleet, cluster, options.gateway, options.observers)
    marker = uuid.uuid4().hex
    return State(
        marker=marker,
        fleet=str(wanted.file),
        digest=wanted.digest,
        models=tuple(model.id for model in wanted.engines),
        ports=chosen,
        ray_dir=str(ray_node.directory(Path(tempfile.gettempdir()), marker)),
        serve_url=cluster.serve_url,
        dashboard_url=cluster.dashboard_url,
        gateway_url=loopback(chosen.gateway) if options.gateway else None,
        admin_url=loopback(chosen.admin) if options.gateway else None,
        prometheus_url=loopback(chosen.prometheus) if options.observers else None,
        autoscaler_url=loopback(chosen.autoscaler) if options.observers else None,
        started_at=time.time(),
    )


def _start(state: State, wanted: Plan, options: Options, store: Store, view: View) -> None:
    began = time.monotonic()
    deadline = began + options.timeout_s
    shutil.rmtree(store.logs, ignore_errors=True)
    store.save(state)
    names = ", ".join(state.models)
    view.line(f"Starting {len(state.models)} engines ({names}) on one local Ray; logs are in {store.logs}")
    resolve = _resolver(wanted, store)
    for model in wanted.engines:
        resolve(model)  # builds tiny weights: an unknown architecture fails before anything runs

    def started(process: subprocess.Popen[bytes]) -> None:
        state.sessions.append(process.pid)
        store.save(state)

    ray_node.start(wanted.engines, state.ports, Path(state.ray_dir), state.marker, store.logs / "ray.log", started)
    _link_logs(state, store)
    view.line(f"[{time.monotonic() - began:5.0f} s] Ray is up")
    (cluster,) = {model.cluster for model in wanted.engines if model.cluster}
    config = serve_config(wanted.fleet, cluster, host=LOOPBACK, resolve=resolve)
    serve_api.deploy(state.dashboard_url, config, min(deadline, time.monotonic() + DEPLOY_TIMEOUT_S))
    children = []
    for child in _children(state, wanted, store):
        started(child.process)
        children.append(child)
    _await_ready(state, store, view, began, deadline, children)
    state.phase = "ready"
    state.ready_after_s = round(time.monotonic() - began, 1)
    store.save(state)


def _children(state: State, wanted: Plan, store: Store) -> Iterator[Child]:
    """Starts what runs beside Ray, one after another."""
    file, chosen, marker, logs, root = wanted.file, state.ports, state.marker, store.logs, store.root
    if state.prometheus_url is not None:
        yield prometheus_process.start(wanted.fleet, chosen, marker, logs / "prometheus.log", root / "prometheus")
    if state.gateway_url is not None:
        plan = f"{state.autoscaler_url}/plan" if state.autoscaler_url is not None else None
        yield gateway_process.start(file, chosen, marker, logs / "gateway.log", root / "gateway", plan)
    if state.autoscaler_url is not None:
        yield autoscaler_process.start(file, chosen, marker, logs / "autoscaler.log", root / "autoscaler")


def _await_ready(
    state: State, store: Store, view: View, began: float, deadline: float, children: Sequence[Child]
) -> None:
    logs = Path(state.ray_dir) / "session_latest" / "logs"
    while True:
        now = time.monotonic()
        known = serve_api.applications(state.dashboard_url)
        steps = [step(name, known.get(name), logs) for name in state.models]
        steps.append(proxy_step(serve_api.status_of(f"{state.serve_url}/-/routes") == 200, logs))
        steps += [child.step() for child in children]
        for one in steps:
            if one.failed:
                raise LocalError(f"{one.part} did not start: {one.failed} (whole log: {store.logs}/ray)")
            if one.ready and one.part in state.models:
                state.model_ready_s.setdefault(one.part, round(now - began, 1))
        view.show(steps, now - began, state.model_ready_s)
        # The gateway probes by itself, a second later perhaps: until then it would refuse what answers already.
        seen = state.admin_url is None or gateway_process.sees(state.admin_url, state.models)
        if seen and all(one.ready for one in steps) and not health(state).ill:
            return
        if now > deadline:
            raise LocalError(f"not ready after {now - began:.0f} s: {_waiting(steps)} (--timeout; logs: {store.logs})")
        time.sleep(POLL_S)


def _waiting(steps: Sequence[Step]) -> str:
    late = [f"{one.part} ({one.what})" for one in steps if not one.ready]
    return ", ".join(late) or "an engine does not answer through HAProxy"


def _resolver(wanted: Plan, store: Store) -> Callable[[Model], Weights]:
    from serve.engines import tiny

    def resolve(model: Model) -> Weights:
        substitute = wanted.substitutes.get(model.id)
        if substitute is not None:
            local = Path(substitute).expanduser()
            return weights(model, substitute=str(local.absolute()) if local.is_dir() else substitute)
        needs = model.engine is not None and model.engine.weights == "tiny"
        return weights(model, str(tiny.build(model, store.models)) if needs else None)

    return resolve


def _link_logs(state: State, store: Store) -> None:
    """`logs/ray` shows Ray's logs while it runs; `down` puts the files themselves there."""
    link = store.logs / "ray"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(state.ray_dir) / "session_latest" / "logs")


def health(state: State) -> Health:
    """Asks every model through HAProxy, and every other part whether it is ready."""
    parts = {
        gateway_process: state.admin_url,
        prometheus_process: state.prometheus_url,
        autoscaler_process: state.autoscaler_url,
    }
    return Health(
        {name: _answers(f"{state.serve_url}/{name}/health") for name in state.models},
        {part.PART: _answers(part.ready_url(url)) for part, url in parts.items() if url is not None},
    )


def _answers(url: str) -> bool:
    return serve_api.status_of(url, HEALTH_TIMEOUT_S) == 200


def down(store: Store) -> int:
    """Ends the stack of a state directory, and returns how many processes it had; 0 when none is recorded."""
    with store.lock():
        state = store.load()
        return 0 if state is None else _end(state, store)


def _end(state: State, store: Store) -> int:
    """Ends the processes, removes what they left. Raises LocalError when a port of the stack still listens."""
    ended = processes.end(state.marker, state.sessions, GRACE_S)
    _keep_logs(state, store)
    shutil.rmtree(state.ray_dir, ignore_errors=True)
    if ended:
        left = [f"{port} ({name})" for name, port in state.ports.listeners().items() if ports.listening(port)]
        if left:
            raise LocalError(f"something still listens on port {', '.join(left)}: end it by hand, then `parlance down`")
    store.clear()
    return ended


def _keep_logs(state: State, store: Store) -> None:
    link = store.logs / "ray"
    source = Path(state.ray_dir) / "session_latest" / "logs"
    if source.is_dir():
        link.unlink(missing_ok=True)
        shutil.copytree(source, link, ignore_dangling_symlinks=True, dirs_exist_ok=True, ignore=_no_sockets)
    elif link.is_symlink():
        link.unlink()


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not (Path(folder, name).is_file() or Path(folder, name).is_dir())]
