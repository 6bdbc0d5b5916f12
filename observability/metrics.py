"""The catalogue of the gateway's metrics: one object a metric. The gateway makes its collectors from here."""

from __future__ import annotations

from observability.metric import Kind, Metric, Unit
from serve.fleet.slo import ITL_BOUNDS_S, TTFT_BOUNDS_S

WHOLE_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
# Our own work: the goal is 250 us a decision and 1 ms added to the first token.
OWN_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)

# A replica starts in 10 s (a small model, everything cached) to ten minutes (a node has to come first).
WAKING_S = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


def _counter(name: str, help_: str, *labels: str, unit: Unit = Unit.COUNT) -> Metric:
    return Metric(f"parlance_{name}", Kind.COUNTER, help_, labels, unit=unit)


def _gauge(name: str, help_: str, *labels: str, unit: Unit = Unit.COUNT, across: str = "sum") -> Metric:
    """`across`: what makes one figure of those of several workers, each of which has its own view."""
    return Metric(f"parlance_{name}", Kind.GAUGE, f"{help_} Of several workers: {across}.", labels, unit=unit)


def _seconds(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(f"parlance_{name}", Kind.HISTOGRAM, help_, labels, buckets, unit=Unit.SECONDS)


# What is asked, and what comes of it.
REQUESTS = _counter(
    "requests_total",
    "Requests answered, by the model that answered (`none`: no model was reached), the language read in the prompt, "
    "the tenant's class, the HTTP status (499: the client left) and the reason of the choice.",
    "model", "language", "tenant_class", "status", "reason",
)  # fmt: skip
ERRORS = _counter("errors_total", "Errors that callers were told, by their code.", "code")
ABORTS = _counter(
    "aborts_total",
    "Answers that ended before they were whole, by model and cause: client_left, engine_failed (a stream that ended in "
    "an error event), timeout, slow_client.",
    "model", "cause",
)  # fmt: skip
RETRIES = _counter(
    "retries_total", "Further attempts before the first byte, by the model that failed and why.", "model", "cause"
)
KEY_REFUSALS = _counter(
    "key_refusals_total",
    "Requests refused for their API key: missing, unknown, expired, revoked or model_not_allowed.",
    "reason",
)
IN_FLIGHT = _gauge("in_flight_requests", "Requests that wait for or read an answer.", "model")
OPEN = _gauge("open_requests", "Requests that the worker holds, those that no model has yet included.")
OPEN_LIMIT = _gauge("open_requests_limit", "Requests that the worker may hold; more are refused with 429.")
CONNECTIONS = _gauge("client_connections", "Open connections of clients.")
HEALTHY = _gauge(
    "model_healthy",
    "1 while a replica of the model answers probes.",
    "model",
    across="max (min: every one of them reaches it)",
)
EXPECTED_WAIT = _gauge(
    "expected_wait_seconds",
    "How long a request would wait at a model beyond what an idle engine takes: what decisions price.",
    "model",
    unit=Unit.SECONDS,
    across="max",
)

# Models that sleep, and the autoscaler's plan.
WAKING = _gauge("waking_requests", "Requests that are held until a replica of the model has started.", "model")
WAKING_ENDED = _counter(
    "waking_ends_total",
    "Requests that wanted to be held while a replica starts, by how that ended: woken (a replica came), timeout, full "
    "(no place was free), displaced (another tenant had fewer places), left (the client), stopped (the gateway).",
    "model", "outcome",
)  # fmt: skip
WAKING_WAIT = _seconds(
    "waking_wait_seconds", "How long requests were held, whichever way that ended.", WAKING_S, "model"
)
SHIFTS = _gauge("plan_shifts", "Shifts of load between models in force, of the autoscaler's plan.", across="max")
PLAN_FLAWS = _counter(
    "plan_flaws_total",
    "Readings of the autoscaler's plan that were of no use to routing: unreachable, malformed, unknown_model, stale.",
    "flaw",
)

# Time. TTFT by model and by language are two histograms: their product would be thousands of series that every scrape
# writes out in the loop that serves requests.
TTFT = _seconds(
    "time_to_first_token_seconds",
    "From the request's arrival at the gateway to the first byte of a streamed answer.",
    TTFT_BOUNDS_S,
    "model",
)
LANGUAGE_TTFT = _seconds(
    "language_time_to_first_token_seconds",
    "From the request's arrival at the gateway to the first byte of a streamed answer, by the prompt's language.",
    TTFT_BOUNDS_S,
    "language",
)
ITL = _seconds(
    "inter_token_latency_seconds",
    "Between two chunks of a stream as they reach the gateway: one token each, unless the engine bundles them.",
    ITL_BOUNDS_S,
    "model",
)
TPOT = _seconds(
    "time_per_output_token_seconds",
    "Mean time of a streamed answer's further tokens: from its first to its last byte, over its tokens but one.",
    ITL_BOUNDS_S,
    "model",
)
DURATION = _seconds(
    "request_duration_seconds",
    "From the request's arrival at the gateway to the last byte of the answer.",
    WHOLE_S,
    "model",
)
QUEUE = _seconds(
    "queue_seconds",
    "From the decision until the request was on a connection to the engine that answered: connecting, failed attempts, "
    "their back-off, and being held while a replica starts. Engines tell of their own queues.",
    (0.0001, 0.001, *TTFT_BOUNDS_S),
    "model",
)
DECISION = _seconds("decision_seconds", "Language detection and choice of a model.", OWN_S)
OVERHEAD = _seconds(
    "overhead_seconds",
    "The gateway's own share of the time to the first byte: without the client's sending, the queue and the engine.",
    OWN_S,
)

# Tokens, words and money.
TOKENS = _counter(
    "tokens_total",
    "Tokens as the engines counted them; `direction` is input, cached_input (part of input) or output.",
    "model", "language", "direction",
    unit=Unit.TOKENS,
)  # fmt: skip
WORDS = _counter(
    "words_total",
    "Words read and written, by model and the prompt's language: characters of the prompt by the catalogue's "
    "characters a word, tokens of the answer by its tokens a word. Languages without spaces count what an English text "
    "of the same content would have.",
    "model", "language", "direction",
    unit=Unit.WORDS,
)  # fmt: skip
COST = _counter(
    "cost_usd_total", "Cost of the answers at the fleet's prices, in USD.", "model", "language", unit=Unit.USD
)
REFERENCE_COST = _counter(
    "reference_cost_usd_total",
    "What the same answers would have cost on the reference model at the fleet's prices, in USD, by the model that "
    "gave them: the tokens that were counted, times what the decision expected of the reference for each expected of "
    "the model.",
    "model", "language",
    unit=Unit.USD,
)  # fmt: skip
QUALITY_GIVEN_UP = _counter(
    "quality_given_up_points_total",
    "Index points below the reference model, summed over the answers for whose model and language there is evidence; "
    "divide by parlance_quality_known_total.",
    "model", "language",
    unit=Unit.POINTS,
)  # fmt: skip
QUALITY_KNOWN = _counter(
    "quality_known_total", "Answers for whose model and language there is evidence of quality.", "model", "language"
)
PRICE = _gauge(
    "price_usd_per_token",
    "What a token costs, by model, basis (list; average and marginal: of the GPU hours over what they served) and "
    "direction (input, cached_input, output).",
    "model", "basis", "direction",
    unit=Unit.USD,
    across="max",
)  # fmt: skip

# Choices.
REJECTIONS = _counter(
    "candidate_rejections_total",
    "Models that were no candidate for a request, or could not take one that named them, by the code of the reason.",
    "model", "code",
)  # fmt: skip
SPILLED = _counter(
    "spilled_requests_total",
    "Requests to `auto` that another model took because this one, which would have had them, had no replica or no "
    "capacity: load that comes back when it is up.",
    "model",
)
LANGUAGE_SOURCE = _counter("language_source_total", "Decisions by what the prompt's language was taken from.", "source")
STICKINESS = _counter(
    "conversation_decisions_total",
    "Decisions on conversations: stayed (at a model that has read a part of it), moved (to one that has not), new.",
    "outcome",
)
REPLIES_CHECKED = _counter(
    "replies_checked_total",
    "Replies whose language was told from their first words; `language` is the one that was wanted.",
    "model", "language",
)  # fmt: skip
WRONG_LANGUAGE = _counter(
    "wrong_language_total",
    "Of the replies checked, those in another language than the wanted one.",
    "model",
    "language",
)

# What has been learnt, and how old it is.
TOKEN_RATIO = _gauge(
    "token_ratio",
    "Prompt tokens that engines counted for each that was expected, by the model and the language of the text; 1: as "
    "expected, or nothing learnt.",
    "model", "language",
    unit=Unit.RATIO,
    across="avg",
)  # fmt: skip
OBSERVATIONS = _counter(
    "learnt_observations_total", "Answers that taught something, by what: token_ratio or answer_length.", "kind"
)
ANSWER_TOKENS = _gauge(
    "answer_tokens",
    "Expected tokens of an answer, by model, language of the answer, task (`none`: not known) and statistic: mean, "
    "p50, p90. Comparable between models.",
    "model", "language", "task", "statistic",
    unit=Unit.TOKENS,
    across="avg",
)  # fmt: skip
INPUT_TIME = _gauge(
    "input_timestamp_seconds",
    "When an input of decisions was last renewed: fleet and keys (read), evidence (the youngest that counts), learnt "
    "(published), health (the probe of the model that was longest without one), plan (made; the autoscaler's).",
    "input",
    unit=Unit.TIMESTAMP,
    across="min",
)
KEY_EXPIRY = _gauge(
    "key_expiry_timestamp_seconds",
    "When the next API key of a tenant expires, among those that work; absent where none does.",
    "tenant",
    unit=Unit.TIMESTAMP,
    across="min",
)
CERTIFICATE_EXPIRY = _gauge(
    "upstream_certificate_expiry_timestamp_seconds",
    "When the certificate expires that an https upstream showed last; absent for engines of the fleet.",
    "model",
    unit=Unit.TIMESTAMP,
    across="min",
)
LOG_LOST = _counter(
    "log_entries_lost_total",
    "Entries that could not be written: `log` is journal (standard output), decisions (the decision log) or traces.",
    "log",
)
BUILD = _gauge("build_info", "1; the version is a label.", "version", across="count")

# Tenants: spend, budgets and the ledger that both are read from.
TENANT_REQUESTS = _counter(
    "tenant_requests_total",
    "Requests by tenant and outcome: answered, refused (4xx), failed (5xx or a broken stream), left.",
    "tenant", "outcome",
)  # fmt: skip
TENANT_COST = _counter("tenant_cost_usd_total", "Cost of a tenant's answers in USD.", "tenant", unit=Unit.USD)
BUDGET = _gauge(
    "budget_usd", "What a tenant may spend in its period; absent: no limit.", "tenant", unit=Unit.USD, across="max"
)
BUDGET_SPENT = _gauge(
    "budget_spent_usd",
    "What a tenant has spent in the running period of its budget.",
    "tenant",
    unit=Unit.USD,
    across="max",
)
BUDGET_RESERVED = _gauge(
    "budget_reserved_usd",
    "The most that a tenant's open requests may cost, held back from its budget.",
    "tenant",
    unit=Unit.USD,
)
BUDGET_REFUSALS = _counter(
    "budget_refusals_total",
    "Requests refused because the tenant's budget does not cover their expected cost.",
    "tenant",
)
LEDGER_ROWS = _counter("ledger_rows_total", "Rows that the ledger has on disk, of this worker.")
LEDGER_PENDING = _gauge("ledger_pending_rows", "Rows that wait to be written.")
LEDGER_LAG = _gauge(
    "ledger_lag_seconds", "Age of the oldest row that waits to be written.", unit=Unit.SECONDS, across="max"
)
LEDGER_FAILURES = _counter("ledger_write_failures_total", "Batches that could not be written, and are kept.")

TENANTS = (
    TENANT_REQUESTS, TENANT_COST, BUDGET, BUDGET_SPENT, BUDGET_RESERVED, BUDGET_REFUSALS,
    LEDGER_ROWS, LEDGER_PENDING, LEDGER_LAG, LEDGER_FAILURES,
)  # fmt: skip
GATEWAY = (
    REQUESTS, ERRORS, ABORTS, RETRIES, KEY_REFUSALS, IN_FLIGHT, OPEN, OPEN_LIMIT, CONNECTIONS, HEALTHY, EXPECTED_WAIT,
    WAKING, WAKING_ENDED, WAKING_WAIT, SHIFTS, PLAN_FLAWS,
    TTFT, LANGUAGE_TTFT, ITL, TPOT, DURATION, QUEUE, DECISION, OVERHEAD,
    TOKENS, WORDS, COST, REFERENCE_COST, QUALITY_GIVEN_UP, QUALITY_KNOWN, PRICE,
    REJECTIONS, SPILLED, LANGUAGE_SOURCE, STICKINESS, REPLIES_CHECKED, WRONG_LANGUAGE,
    TOKEN_RATIO, OBSERVATIONS, ANSWER_TOKENS, INPUT_TIME, KEY_EXPIRY, CERTIFICATE_EXPIRY, LOG_LOST, BUILD,
    *TENANTS,
)  # fmt: skip
