"""What an answer cost, to the nano-USD: cached tokens, several choices, streams that end early."""

import pytest

from tests.support.engine import answer

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."


def listed(gateway, basis):
    return {
        direction: gateway.metric("parlance_price_usd_per_token", model="big", basis=basis, direction=direction)
        for direction in ("input", "cached_input", "output")
    }


def test_cached_tokens_cost_less_and_every_choice_is_paid(gateway, engines):
    async def with_cache(request, reply):
        usage = {"prompt_tokens": 1000, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 800}}
        choices = [{"index": n, "message": {"role": "assistant", "content": "Ein fjord."}} for n in range(3)]
        await reply.whole({"id": "c", "object": "chat.completion", "choices": choices, "usage": usage})

    engines[0].handle = with_cache
    got = gateway.chat(GERMAN, model="big", n=3)
    price = listed(gateway, "list")
    assert price["cached_input"] < price["input"]
    expected = 200 * price["input"] + 800 * price["cached_input"] + 300 * price["output"]
    assert got.json["usage"]["cost"] == pytest.approx(expected, abs=1.1e-9)
    assert gateway.records()[-1]["cost_nano_usd"] == round(got.json["usage"]["cost"] * 1e9)


@pytest.mark.parametrize("usage_seen", [True, False])
def test_a_stream_that_ends_early_is_paid_as_far_as_it_came(gateway, engines, usage_seen):
    async def breaks(request, reply):
        await reply.start_stream()
        for text in ("Ein", " langer", " fjord", " im"):
            await reply.token(text)
        if usage_seen:
            await reply.event(id="c", choices=[], usage={"prompt_tokens": 50, "completion_tokens": 4})
        reply.cut()

    engines[0].handle = breaks
    gateway.chat(GERMAN, model="big", stream=True)
    record = gateway.records()[-1]
    usage, price = record["usage"], listed(gateway, "list")
    assert usage["estimated"] is not usage_seen
    assert usage["completion_tokens"] == 4
    assert usage["prompt_tokens"] == 50 if usage_seen else usage["prompt_tokens"] > 10
    spent = (usage["prompt_tokens"] - usage["cached_tokens"]) * price["input"]
    spent += usage["cached_tokens"] * price["cached_input"] + 4 * price["output"]
    assert record["cost_nano_usd"] == pytest.approx(spent * 1e9, abs=1.1)
    engines[0].handle = answer
