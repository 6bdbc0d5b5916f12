"""The metrics catalogue: one object a metric. Whoever exports a metric makes its collector from here."""

from __future__ import annotations

from observability.metric import Kind, Metric

# What a person waits for: from an instant cache hit to the longest queue that is still an answer.
WAIT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
WHOLE_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
# Our own work: the goal is 250 us a decision and 1 ms added to the first token.
OWN_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)

REQUESTS = Metric(
    "parlance_requests_total",
    Kind.COUNTER,
    "Requests answered, by the model that answered (`none`: no model was reached), the language read in the prompt, "
    "the HTTP status (499: the client left) and the reason of the choice.",
    ("model", "language", "status", "reason"),
)
TTFT = Metric(
    "parlance_time_to_first_token_seconds",
    Kind.HISTOGRAM,
    "From the request's arrival at the gateway to the first byte of a streamed answer.",
    ("model",),
    WAIT_S,
)
DURATION = Metric(
    "parlance_request_duration_seconds",
    Kind.HISTOGRAM,
    "From the request's arrival at the gateway to the last byte of the answer.",
    ("model",),
    WHOLE_S,
)
DECISION = Metric("parlance_decision_seconds", Kind.HISTOGRAM, "Language detection and choice of a model.", (), OWN_S)
TOKENS = Metric(
    "parlance_tokens_total",
    Kind.COUNTER,
    "Tokens as the engines counted them; `direction` is input, cached_input (part of input) or output.",
    ("model", "language", "direction"),
)
COST = Metric(
    "parlance_cost_usd_total",
    Kind.COUNTER,
    "Cost of the answers at the fleet's prices, in USD.",
    ("model", "language"),
)
RETRIES = Metric(
    "parlance_retries_total",
    Kind.COUNTER,
    "Further attempts before the first byte, by the model that failed and why.",
    ("model", "cause"),
)
REJECTIONS = Metric(
    "parlance_candidate_rejections_total",
    Kind.COUNTER,
    "Models that were no candidate for a request, by the code of the reason.",
    ("model", "code"),
)
ERRORS = Metric("parlance_errors_total", Kind.COUNTER, "Errors that callers were told, by their code.", ("code",))
IN_FLIGHT = Metric("parlance_in_flight_requests", Kind.GAUGE, "Requests that wait for or read an answer.", ("model",))
HEALTHY = Metric("parlance_model_healthy", Kind.GAUGE, "1 while a replica of the model answers probes.", ("model",))
LOG_LOST = Metric(
    "parlance_log_entries_lost_total",
    Kind.COUNTER,
    "Entries that could not be written: `log` is journal (standard output) or decisions (the decision log).",
    ("log",),
)
REPLIES_CHECKED = Metric(
    "parlance_replies_checked_total",
    Kind.COUNTER,
    "Replies whose language was told from their first words; `language` is the one that was wanted.",
    ("model", "language"),
)
WRONG_LANGUAGE = Metric(
    "parlance_wrong_language_total",
    Kind.COUNTER,
    "Of the replies checked, those in another language than the wanted one.",
    ("model", "language"),
)
TOKEN_RATIO = Metric(
    "parlance_token_ratio",
    Kind.GAUGE,
    "Prompt tokens that engines counted for each that was expected, by the model and the language of the text; 1: as "
    "expected, or nothing learnt.",
    ("model", "language"),
)
OBSERVATIONS = Metric(
    "parlance_learnt_observations_total",
    Kind.COUNTER,
    "Answers that taught something, by what: token_ratio or answer_length.",
    ("kind",),
)
ANSWER_TOKENS = Metric(
    "parlance_answer_tokens",
    Kind.GAUGE,
    "Expected tokens of an answer, by model, language of the answer, task (`none`: not known) and statistic: mean, "
    "p50, p90. Comparable between models.",
    ("model", "language", "task", "statistic"),
)
PRICE = Metric(
    "parlance_price_usd_per_token",
    Kind.GAUGE,
    "What a token costs, by model, basis (list; average and marginal: of the GPU hours over what they served) and "
    "direction (input, cached_input, output).",
    ("model", "basis", "direction"),
)
CONNECTIONS = Metric("parlance_client_connections", Kind.GAUGE, "Open connections of clients.")

GATEWAY = (
    REQUESTS,
    TTFT,
    DURATION,
    DECISION,
    TOKENS,
    COST,
    RETRIES,
    REJECTIONS,
    ERRORS,
    IN_FLIGHT,
    HEALTHY,
    TOKEN_RATIO,
    OBSERVATIONS,
    ANSWER_TOKENS,
    PRICE,
    CONNECTIONS,
    LOG_LOST,
    REPLIES_CHECKED,
    WRONG_LANGUAGE,
)
