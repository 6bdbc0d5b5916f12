"""The gateway's limits, time-outs and keys."""

from __future__ import annotations

from pydantic import Field, model_validator

from serve.fleet.base import Frozen, HostName, HttpUrl, PositiveSeconds
from serve.fleet.ledger import Ledger
from serve.fleet.traces import Traces

KIB = 1024
MIB = 1024 * KIB


class Limits(Frozen):
    """What a client may send; checked before anything is buffered or parsed."""

    body_bytes: int = Field(default=8 * MIB, ge=KIB, le=1024 * MIB, description="Larger bodies: 413.")
    header_bytes: int = Field(default=32 * KIB, ge=KIB, le=MIB, description="Request line and headers: 431.")
    header_timeout_s: PositiveSeconds = Field(default=10, description="From the first byte to the end of the headers.")
    body_timeout_s: PositiveSeconds = Field(default=30, description="From the headers to the end of the body.")
    keep_alive_s: PositiveSeconds = Field(default=75, description="An idle connection is closed after this.")
    in_flight: int = Field(default=2048, gt=0, le=1_000_000, description="Requests at once a worker; more: 429.")
    n: int = Field(default=16, gt=0, le=1024, description="Most choices (`n`, `best_of`) of one request.")
    output_tokens: int = Field(default=131_072, gt=0, description="Most `max_tokens` of one request.")
    logprobs: int = Field(default=20, ge=0, le=100, description="Most `top_logprobs`.")
    stop_sequences: int = Field(default=16, ge=0, le=1024)


class Timeouts(Frozen):
    """How long the gateway waits for an engine, and for a client that does not read."""

    connect_s: PositiveSeconds = 2
    first_byte_s: PositiveSeconds = Field(default=120, description="Queue and prefill, to the first byte of an answer.")
    idle_s: PositiveSeconds = Field(default=60, description="Between two chunks of a stream.")
    whole_s: PositiveSeconds = Field(default=3600, description="To the last byte of an answer that is not streamed.")
    write_s: PositiveSeconds = Field(default=60, description="A client that reads nothing for so long is cut off.")


class Retry(Frozen):
    """Another attempt is made only before the first byte, and only while few requests need one."""

    max_attempts: int = Field(default=3, ge=1, le=10)
    budget_ratio: float = Field(default=0.2, ge=0, le=1, description="Retries per request, over the last requests.")
    budget_floor: int = Field(default=10, ge=0, le=1000, description="Retries that a quiet gateway may make at once.")
    backoff_s: PositiveSeconds = Field(default=0.05, description="Before the second attempt; doubles, with jitter.")


class Health(Frozen):
    """How the gateway watches the engines."""

    interval_s: PositiveSeconds = 1
    timeout_s: PositiveSeconds = 5
    failures: int = Field(default=2, ge=1, le=100, description="Failed probes in a row that make a model unhealthy.")


class DecisionLog(Frozen):
    """What every decision was made from, for `parlance replay`: JSON lines in `state_dir`, rotated by size."""

    enabled: bool = Field(default=True, description="Written where `state_dir` is given.")
    file_bytes: int = Field(default=64 * MIB, ge=64 * KIB, le=4096 * MIB, description="A file's size; then the next.")
    files: int = Field(default=8, ge=1, le=1000, description="Files kept, the current one included.")
    texts: bool = Field(
        default=False, description="Whether the last user turn is written too. Off: no prompt ever reaches the disk."
    )


class Prefixes(Frozen):
    """What the gateway remembers of conversations, to expect cached prompt tokens: hashes, never text."""

    entries: int = Field(default=50_000, ge=0, le=5_000_000, description="Kept at most, about 300 bytes each; 0: none.")
    expires_s: PositiveSeconds = Field(
        default=300, description="An engine is assumed to have evicted a prefix that was not read for so long."
    )


class Waking(Frozen):
    """Requests held for a model that sleeps (`engine.replicas.min: 0`, and no replica), while a replica starts."""

    max_requests: int = Field(
        default=64, ge=0, le=100_000, description="Held at most, a model and worker; more: 503. 0: none is held."
    )
    max_wait_s: PositiveSeconds = Field(
        default=30, description="How long one is held before it is told 503. Clients must be as patient."
    )


class Shifts(Frozen):
    """How the gateway follows the autoscaler's plan where it moves load between models; needs `plan_url`."""

    enabled: bool = Field(default=True, description="Off: plans are shown to operators, and move nothing.")
    interval_s: PositiveSeconds = Field(default=5, description="How often the plan is read.")
    stale_after_s: PositiveSeconds | None = Field(
        default=None,
        description="Age at which a plan moves nothing any more. None: three rounds of the autoscaler and 15 s.",
    )

    @model_validator(mode="after")
    def _read_in_time(self) -> Shifts:
        if self.stale_after_s is not None and self.stale_after_s <= self.interval_s:
            raise ValueError(
                f"stale_after_s ({self.stale_after_s:g}) must be longer than interval_s ({self.interval_s:g}): every "
                f"plan would be stale before the next one is read"
            )
        return self


class Gateway(Frozen):
    """The gateway, of one worker or several. Prices, keys and limits change here without touching a GPU."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65_535)
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(default=8081, ge=1, le=65_535)
    admin_names: tuple[HostName, ...] = Field(
        default=(),
        description="Names by which browsers may call the operator's port, beyond `localhost`, IP addresses and "
        "`admin_host`: any other name could be a foreign page's (DNS rebinding).",
    )
    plan_url: HttpUrl | None = Field(
        default=None,
        description="Where the autoscaler tells its plan (http://127.0.0.1:8082/plan), for the operator's page and for "
        "shifts of load; None: no autoscaler.",
    )
    shifts: Shifts = Shifts()
    keys_file: str | None = Field(
        default=None,
        description="YAML of hashed API keys (`parlance keys`); relative to the fleet file. None: loopback only.",
    )
    state_dir: str | None = Field(
        default=None,
        description="Where the gateway keeps what it has learnt, and the decision log; relative to the fleet file "
        "(`parlance gateway --state-dir`). None: nothing is kept on disk.",
    )
    decision_log: DecisionLog = DecisionLog()
    ledger: Ledger = Ledger()
    prefixes: Prefixes = Prefixes()
    trusted_tenants: bool = Field(
        default=False,
        description="What tenants' requests teach about token counts and answer lengths counts in full. Off: none of "
        "several tenants can move an expectation by more than 5%, and few of them teach little.",
    )
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    health: Health = Health()
    waking: Waking = Waking()
    drain_s: PositiveSeconds = Field(default=30, description="On SIGTERM: how long open answers may go on.")
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that share `port`, a core each. Worker i has the operator's port `admin_port` + i.",
    )
    traces: Traces = Traces()

    @model_validator(mode="after")
    def _two_ports(self) -> Gateway:
        if self.port == self.admin_port and self.host == self.admin_host:
            raise ValueError(f"port and admin_port are both {self.port}: the operator's port must be another")
        last = self.admin_port + self.workers - 1
        if last > 65_535:
            raise ValueError(f"admin_port {self.admin_port} and {self.workers} workers: {last} is no port")
        if self.host == self.admin_host and self.admin_port < self.port <= last:
            raise ValueError(f"port {self.port} is one of the operator's ports, {self.admin_port} to {last}")
        return self
