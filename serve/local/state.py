"""What `up` writes down so that `status` finds the stack and `down` ends it, also after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.errors import LocalError

ENV = "PARLANCE_STATE"
DEFAULT = ".state"


LOOPBACK = "127.0.0.1"


def loopback(port: int | None) -> str:
    """The URL of a port of this machine."""
    return f"http://{LOOPBACK}:{port}"


class Ports(BaseModel):
    """Every port that the stack listens on, all on loopback. None: the stack has no such part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: int | None
    admin: int | None
    serve: int
    dashboard: int
    gcs: int
    client: int
    agent: int
    metrics: int
    dashboard_metrics: int
    autoscaler_metrics: int
    haproxy_metrics: int
    haproxy_stats: int
    fallback_proxy: int
    fallback_grpc: int
    replica_low: int
    replica_high: int
    prometheus: int | None = None
    autoscaler: int | None = None

    def listeners(self) -> dict[str, int]:
        """Port by name, without the range that replicas draw from."""
        return {
            name: port
            for name, port in self.model_dump().items()
            if port is not None and name not in ("replica_low", "replica_high")
        }


class State(BaseModel):
    """One stack. `marker` stands in the environment of each of its processes (PARLANCE_STACK)."""

    model_config = ConfigDict(extra="forbid")

    marker: str
    fleet: str = Field(description="Absolute path of the fleet file.")
    digest: str = Field(description="Of the fleet as it was understood, the choice of models and their weights.")
    models: tuple[str, ...]
    ports: Ports
    ray_dir: str = Field(description="Ray's session and HAProxy's files; removed by `down`.")
    serve_url: str
    dashboard_url: str
    gateway_url: str | None = None
    admin_url: str | None = None
    prometheus_url: str | None = None
    autoscaler_url: str | None = None
    sessions: list[int] = Field(default_factory=list, description="Process sessions that `up` made.")
    phase: Literal["starting", "ready"] = "starting"
    started_at: float = Field(description="Seconds since the epoch.")
    ready_after_s: float | None = None
    model_ready_s: dict[str, float] = Field(default_factory=dict)


class Store:
    """The state directory: `stack.json`, `logs/`, `models/`, a directory for each part, and a lock."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or Path(os.environ.get(ENV) or DEFAULT)).absolute()
        self.file = self.root / "stack.json"
        self.logs = self.root / "logs"
        self.models = self.root / "models"

    def load(self) -> State | None:
        """The recorded stack, or None. Raises LocalError when the record cannot be read."""
        try:
            return State.model_validate_json(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise LocalError(
                f"{self.file} cannot be read, it was written by another version or is damaged: "
                "end its processes by hand, and remove it"
            ) from error

    def save(self, state: State) -> None:
        """Writes the record; a reader sees the old one or the new one."""
        self.logs.mkdir(parents=True, exist_ok=True)
        staging = self.file.with_suffix(".tmp")
        staging.write_text(state.model_dump_json(indent=2) + "\n", encoding="utf-8")
        staging.replace(self.file)

    def clear(self) -> None:
        """Forgets the stack; logs and tiny models stay."""
        self.file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held while `up` or `down` is at work. Raises LocalError when another one is."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LocalError(f"another `parlance up` or `down` is at work in {self.root}: wait for it") from error
            yield
