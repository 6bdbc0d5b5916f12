"""Languages: what an answer costs in each, who gives it, how fast, and what was given up for the price."""

from __future__ import annotations

from observability import metrics
from observability.dashboards.asking import (
    HOUR_S,
    LANGUAGE,
    MODEL,
    average,
    busiest,
    counted,
    each_second,
    in_range,
    only_seen,
    percentile,
    percentile_in_range,
    seen,
)
from observability.dashboards.panel import (
    Colour,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Scale,
    Threshold,
    Variable,
    targets,
)
from serve.fleet.slo import Slo

# Languages that a graph can still tell apart.
TOP = 12


def dashboard(slo: Slo) -> Dashboard:
    """The dashboard for these objectives."""
    return Dashboard(
        "languages",
        "Parlance / Languages",
        "What 1,000 words cost in each language, which models answer, how fast and how well. Texts of the same content "
        "take several times the tokens in some languages: that is what routing by language saves.",
        (
            *targets(metrics.BUILD),
            Variable("model", (metrics.REQUESTS,), "model", "Model", "Models that answered."),
            Variable("language", (metrics.REQUESTS,), "language", "Language", "Languages read in the prompts."),
        ),
        (
            Row("Languages of the range", (_table(),)),
            Row("Cost", _cost()),
            Row("Use", _use()),
            Row("Speed and quality", _quality(slo)),
            Row("Tokens", _tokens()),
        ),
        since="now-6h",
    )


def _table() -> Panel:
    chosen = MODEL | LANGUAGE
    cost = in_range(metrics.COST, "language", **chosen)
    reference = in_range(metrics.REFERENCE_COST, "language", **chosen)
    words = in_range(metrics.WORDS, "language", **chosen)
    wrong = in_range(metrics.WRONG_LANGUAGE, "language", **chosen)
    checked = in_range(metrics.REPLIES_CHECKED, "language", **chosen)
    given_up = in_range(metrics.QUALITY_GIVEN_UP, "language", **chosen)
    known = in_range(metrics.QUALITY_KNOWN, "language", **chosen)
    return Panel(
        "table",
        "Every language that was asked in the range",
        "One line a language. Start with what costs most: is the model that answers there needed (quality given up "
        "near 0 leaves room for a cheaper one), are its tokens a word high (a model with a better tokenizer for it "
        "is cheaper at the same price a token), does it answer in another language (raise its floor, or take the "
        "language from the model's `languages`)? Then look at its lines below.",
        (
            Query(cost.above(0), "Cost", Scale.USD),
            Query(counted(metrics.REQUESTS, "language", **chosen).above(0), "Requests", Scale.COUNT),
            Query(cost.per(words) * 1000, "Cost of 1,000 words", Scale.USD),
            Query(1 - cost.per(reference), "Saved", Scale.SHARE),
            Query(
                percentile_in_range(0.95, metrics.LANGUAGE_TTFT, "language", **LANGUAGE),
                "First token, p95",
                Scale.SECONDS,
            ),
            Query(wrong.or_(checked * 0).per(checked), "Wrong language", Scale.SHARE),
            Query(given_up.per(known), "Points given up", Scale.NUMBER),
        ),
        Kind.TABLE,
        Scale.COUNT,
        width=24,
        height=10,
        base=Colour.NEUTRAL,
        key="language",
        empty="no traffic",
    )


def _cost() -> tuple[Panel, ...]:
    chosen = MODEL | LANGUAGE
    cost = each_second(metrics.COST, "language", **chosen)
    reference = each_second(metrics.REFERENCE_COST, "language", **chosen)
    words = each_second(metrics.WORDS, "language", **chosen)
    return (
        Panel(
            "cost-per-1000-words",
            "Cost of 1,000 words",
            "USD for 1,000 words, read and written. A language far above the others is answered by a dearer model "
            "or takes more tokens a word: see Models that answer and Tokens a word below. A jump without a change "
            "of prices has an alert.",
            (Query(cost.per(words) * 1000, "{{language}}"),),
            scale=Scale.USD,
            empty="no traffic",
        ),
        Panel(
            "money-saved",
            "Saved an hour",
            "What the answers would have cost on the reference model, less what they cost. Negative: the answers "
            "of that language went to something dearer than the reference; Reasons on Routing says why.",
            (Query(only_seen((reference - cost) * HOUR_S, metrics.WORDS, "language", **chosen), "{{language}}"),),
            scale=Scale.USD,
            least=None,
            empty="no traffic",
        ),
        Panel(
            "saved-share",
            "Share saved",
            "Of what the reference model would have cost. 0: the reference itself answers, because nothing cheaper "
            "is good enough there; better evidence for a small model in that language (`parlance quality import`) "
            "changes it.",
            (Query(1 - cost.per(reference), "{{language}}"),),
            scale=Scale.SHARE,
            least=None,
            most=1,
            empty="no traffic",
        ),
    )


def _use() -> tuple[Panel, ...]:
    chosen = MODEL | LANGUAGE
    requests = each_second(metrics.REQUESTS, "model", **chosen)
    every = each_second(metrics.REQUESTS, **chosen)
    words = seen(metrics.WORDS, "language", **chosen)
    return (
        Panel(
            "requests",
            f"Requests by language (the {TOP} most asked)",
            "What is asked. `other`: languages that the fleet does not name; when it grows, `parlance languages "
            "detect` says of a text what is read in it, and the models' `languages` what they may answer.",
            (Query(busiest(TOP, metrics.REQUESTS, "language", **chosen), "{{language}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            empty="no traffic",
        ),
        Panel(
            "share-by-model",
            "Models that answer",
            "Each model's share of the requests in the chosen languages. Choose one language at the top. A model that "
            "should answer and does not: Rejections on Routing name the reason.",
            (Query((requests / every.scalar()).at_least(0), "{{model}}"),),
            scale=Scale.SHARE,
            stacked=True,
            most=1,
            empty="no traffic",
        ),
        Panel(
            "words",
            "Words",
            "Words a second, read and written, in languages without spaces as many as an English text of the same "
            "content has. What the cost is divided by.",
            (Query(words, "{{language}}"),),
            scale=Scale.PER_SECOND,
            empty="no traffic",
        ),
    )


def _quality(slo: Slo) -> tuple[Panel, ...]:
    chosen = MODEL | LANGUAGE
    wrong = each_second(metrics.WRONG_LANGUAGE, "model", "language", **chosen)
    checked = each_second(metrics.REPLIES_CHECKED, "model", "language", **chosen)
    given_up = each_second(metrics.QUALITY_GIVEN_UP, "language", **chosen)
    known = each_second(metrics.QUALITY_KNOWN, "language", **chosen)
    return (
        Panel(
            "ttft",
            "Time to first token, p95",
            "By the prompt's language. One language alone above the line: the model that answers it is the slow one; "
            "all of them: see the Overview.",
            (Query(percentile(0.95, metrics.LANGUAGE_TTFT, "language", **LANGUAGE), "{{language}}", exemplars=True),),
            thresholds=(Threshold(slo.ttft_s, Colour.BAD),),
            empty="no streamed answers",
        ),
        Panel(
            "wrong-language",
            "Replies in the wrong language",
            "Of the replies whose language was told from their first words. Above a few percent: the model loses its "
            "standing in that language by itself; raise the floor there, or take the language from the model.",
            (Query(wrong.or_(checked * 0).per(checked), "{{language}}: {{model}}"),),
            scale=Scale.SHARE,
            thresholds=(Threshold(0.05, Colour.WARN), Threshold(0.2, Colour.BAD)),
            empty="no replies checked",
        ),
        Panel(
            "quality-given-up",
            "Quality given up",
            "Index points below the reference model, on average over the answers for which there is evidence. More "
            "than the floor allows (routing.quality_floor) means that the evidence changed after the choice; below "
            "0 the small model is the better one.",
            (Query(given_up.per(known), "{{language}}"),),
            scale=Scale.NUMBER,
            least=None,
            empty="no evidence of quality",
        ),
    )


def _tokens() -> tuple[Panel, ...]:
    chosen = MODEL | LANGUAGE
    tokens = each_second(metrics.TOKENS, "model", "language", direction="output", **chosen)
    words = each_second(metrics.WORDS, "model", "language", direction="output", **chosen)
    checked = seen(metrics.REPLIES_CHECKED, "language", **chosen)
    return (
        Panel(
            "tokens-per-word",
            "Tokens a word",
            "Output tokens for a word, by model and language: the tokenizer's share of the price. English takes "
            "about 1.3; at 4 and more every answer costs three times as much, and a model trained for the language "
            "is worth a look.",
            (Query(tokens.per(words), "{{language}}: {{model}}"),),
            scale=Scale.NUMBER,
            empty="no traffic",
        ),
        Panel(
            "token-ratio",
            "Tokens counted for each expected",
            "What engines counted in prompts against what the catalogue expects, as learnt from traffic. Away from "
            "1 the catalogue's figure for the language is off, or the traffic is of another kind (code, tables); "
            "it drifts when a tokenizer changed. Decisions already use it.",
            (Query(average(metrics.TOKEN_RATIO, "model", "language", **chosen).differs(1), "{{language}}: {{model}}"),),
            scale=Scale.NUMBER,
            least=None,
            empty="nothing learnt: all as expected",
        ),
        Panel(
            "replies-checked",
            "Replies checked",
            "Replies a second whose language could be told. Few beside Requests: answers are short, or in code; "
            "the share of wrong ones then rests on little.",
            (Query(checked, "{{language}}"),),
            scale=Scale.PER_SECOND,
            empty="no traffic",
        ),
    )
