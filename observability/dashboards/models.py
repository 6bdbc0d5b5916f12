"""Models: the engines' own figures, vLLM's as Ray exports them, beside what the gateway sees of each model."""

from __future__ import annotations

from observability import foreign, metrics
from observability.dashboards.asking import ENGINE, MODEL, amount, count, each_second, largest, percentile
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
    Variable,
    targets,
)
from observability.metric import Metric
from observability.promql import like
from serve.fleet.slo import Slo

NAME = "{{model_name}}"


def dashboard(slo: Slo) -> Dashboard:
    """The dashboard for these objectives."""
    return Dashboard(
        "models",
        "Parlance / Models",
        "The engines from inside: how full they are, what they work on, and where a request's time goes. Engines "
        "behind `upstream:` export nothing here; the first row has them too.",
        (
            *targets(metrics.BUILD, foreign.VLLM_RUNNING),
            Variable("model", (metrics.HEALTHY,), "model", "Model", "Models of the fleet; vLLM calls them the same."),
        ),
        (
            Row("Models", _models()),
            Row("Load", _load()),
            Row("Work", _work()),
            Row("Time in the engine", _time(slo)),
        ),
    )


def _models() -> tuple[Panel, ...]:
    held = amount(foreign.NODE_RESOURCES, "Name", Name=like("CPU|GPU"), State="USED")
    return (
        Panel(
            "healthy",
            "Healthy models",
            "Whether a replica of the model answers the gateway's probes. Down: `Engines that report` says whether the "
            "engine is gone, or only out of the gateway's reach (HAProxy, network; see Ray and nodes).",
            (Query(largest(metrics.HEALTHY, "model", **MODEL), "{{model}}"),),
            Kind.STAT,
            Scale.NUMBER,
            width=12,
            height=6,
            base=Colour.BAD,
            thresholds=(Threshold(1, Colour.GOOD),),
            states=(State(0, "down", Colour.BAD), State(1, "healthy", Colour.GOOD)),
        ),
        Panel(
            "in-flight",
            "Requests at each model, as the gateway sees them",
            "Requests that wait for or read an answer. More than Running and Waiting together for long: they wait in "
            "HAProxy or on the way; see HAProxy's sessions on Ray and nodes.",
            (Query(amount(metrics.IN_FLIGHT, "model", **MODEL), "{{model}}"),),
            width=12,
            height=6,
        ),
        Panel(
            "engines",
            "Engines that report",
            "Engines by model, one a replica. Fewer than Autoscaling's plan wants: a replica is starting, or cannot be "
            "placed (see Replicas on Ray and nodes).",
            (Query(count(foreign.VLLM_RUNNING, "model_name", **ENGINE), NAME),),
            width=12,
            height=6,
            empty="no engine has worked yet",
        ),
        Panel(
            "workers",
            "CPUs and GPUs that replicas hold",
            "The workers of a tensor-parallel group are processes of their replica: neither Ray nor vLLM has a "
            "series for one of them, and a group that loses one leaves as a whole (a step down here and in "
            "Engines). A replica with tensor_parallel 2 holds two GPUs. More held than the engines need: a replica "
            "hangs on its way out.",
            (Query(held, "{{Name}}"),),
            scale=Scale.NUMBER,
            width=12,
            height=6,
        ),
    )


def _load() -> tuple[Panel, ...]:
    def panel(slug: str, title: str, description: str, metric: Metric) -> Panel:
        query = Query(amount(metric, "model_name", **ENGINE), NAME)
        return Panel(slug, title, description, (query,), width=6, empty="no engine has worked yet")

    return (
        panel(
            "running",
            "Running",
            "Requests in the engines' batches. Flat at the top while Waiting grows: the batch is full "
            "(max_num_seqs), or the KV cache.",
            foreign.VLLM_RUNNING,
        ),
        panel(
            "waiting",
            "Waiting",
            "Requests that wait for room in the batch or in the KV cache. Above 0 for minutes: another replica is "
            "needed; Autoscaling says whether one is planned and what holds it.",
            foreign.VLLM_WAITING,
        ),
        Panel(
            "kv-cache",
            "KV cache in use",
            "The fullest engine of each model. Near 1 requests wait or are preempted, and prefixes are thrown away: "
            "more replicas, a shorter context, or a larger share of the GPU's memory.",
            (Query(largest(foreign.VLLM_KV_USE, "model_name", **ENGINE), NAME),),
            scale=Scale.SHARE,
            width=6,
            most=1,
            thresholds=(Threshold(0.8, Colour.WARN), Threshold(0.95, Colour.BAD)),
            empty="no engine has worked yet",
        ),
        Panel(
            "batch-tokens",
            "Tokens a step, median",
            "Tokens that a step of the engine works on: decoding adds one for each running request, a "
            "prompt its length. High beside late tokens: prompts crowd decoding out; lower max_num_batched_tokens.",
            (Query(percentile(0.5, foreign.VLLM_BATCH_TOKENS, "model_name", **ENGINE), NAME),),
            width=6,
            empty="no steps",
        ),
    )


def _work() -> tuple[Panel, ...]:
    prompt = each_second(foreign.VLLM_PROMPT_TOKENS, "model_name", **ENGINE)
    output = each_second(foreign.VLLM_OUTPUT_TOKENS, "model_name", **ENGINE)
    found = each_second(foreign.VLLM_PROMPT_SOURCES, "model_name", source="local_cache_hit", **ENGINE)
    queries = each_second(foreign.VLLM_PREFIX_QUERIES, "model_name", **ENGINE)
    requests = each_second(foreign.VLLM_PREEMPTIONS, "model_name", suffix="_count", **ENGINE)
    once_at_most = each_second(foreign.VLLM_PREEMPTIONS, "model_name", suffix="_bucket", le="1.0", **ENGINE)
    finished = each_second(foreign.VLLM_FINISHED, "model_name", "finished_reason", **ENGINE)
    return (
        Panel(
            "tokens",
            "Tokens a second",
            "Prompt tokens processed and tokens generated. What a replica reaches here at its best is its "
            "capacity; the plan's figure stands on Autoscaling.",
            (Query(prompt, f"{NAME}, prompt"), Query(output, f"{NAME}, answer")),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no engine has worked yet",
        ),
        Panel(
            "prefix-hits",
            "Prefix cache hits",
            "Share of the prompt tokens that were found in the engine's cache. It falls when conversations move "
            "between models or replicas (Conversations on Routing) and when the KV cache is full.",
            (Query(found.or_(queries * 0).per(queries), NAME),),
            scale=Scale.SHARE,
            width=6,
            most=1,
            empty="no prompts",
        ),
        Panel(
            "preemptions",
            "Preempted more than once",
            "Requests a second that were thrown out of the batch twice or more for lack of KV cache, and started "
            "again. Anything above 0 is work done over and over: see KV cache. vLLM counts by request, and 0 and 1 "
            "share a bucket.",
            (Query(requests - once_at_most, NAME),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no engine has worked yet",
        ),
        Panel(
            "finish-reasons",
            "How answers end",
            "stop: the model was done; length: max_tokens cut it; abort: the client left or the gateway gave up; "
            "error: the engine failed. Much `length` in one model: clients ask for too little, or the model does "
            "not stop.",
            (Query(finished, f"{NAME}: {{{{finished_reason}}}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no engine has worked yet",
        ),
    )


def _time(slo: Slo) -> tuple[Panel, ...]:
    def panel(slug: str, title: str, description: str, metric: Metric, bound: float | None = None) -> Panel:
        query = Query(percentile(0.95, metric, "model_name", **ENGINE), NAME)
        limit = (Threshold(bound, Colour.BAD),) if bound is not None else ()
        return Panel(slug, title, description, (query,), scale=Scale.SECONDS, thresholds=limit, empty="no answers")

    lengths = (
        Query(percentile(0.5, foreign.VLLM_PROMPT_LENGTH, "model_name", **ENGINE), f"{NAME}, prompt"),
        Query(percentile(0.5, foreign.VLLM_OUTPUT_LENGTH, "model_name", **ENGINE), f"{NAME}, answer"),
    )
    return (
        panel(
            "queue-time",
            "Queue, p95",
            "From a request's arrival at the engine to its first step. It is the part that more replicas shorten.",
            foreign.VLLM_QUEUE,
        ),
        panel(
            "prefill-time",
            "Prefill, p95",
            "Reading the prompt. It grows with prompts that no cache knows; more GPUs a replica (tensor_parallel) or "
            "better prefix hits shorten it, more replicas do not.",
            foreign.VLLM_PREFILL,
        ),
        panel(
            "decode-time",
            "Decode, p95",
            "Writing the answer: tokens of the answer times the time of a step. Compare Lengths before looking for "
            "something slow.",
            foreign.VLLM_DECODE,
        ),
        panel(
            "engine-ttft",
            "First token, p95, in the engine",
            "Queue and prefill together. The Overview's figure is this plus HAProxy and the gateway: a large "
            "difference is in Overhead and Queue on Gateway.",
            foreign.VLLM_TTFT,
            slo.ttft_s,
        ),
        panel(
            "engine-itl",
            "Next token, p95, in the engine",
            "A step of the engine as a request sees it. Above the line: smaller batches (max_num_seqs) or more "
            "replicas.",
            foreign.VLLM_ITL,
            slo.itl_s,
        ),
        Panel(
            "lengths",
            "Tokens of a request, median",
            "Prompts and answers as the engines saw them. When they change, so do time and cost: it is the "
            "traffic, not the engine.",
            lengths,
            empty="no answers",
        ),
    )
