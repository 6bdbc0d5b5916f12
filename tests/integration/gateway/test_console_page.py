"""The operator's page in a real browser: what it shows, what it does, and that everybody can use it."""

import asyncio
import re

import pytest
from playwright.sync_api import expect

from tests.integration.gateway.conftest import fleet
from tests.support.browser import USUAL, VIEWS, WAIT_MS, rows
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

NYNORSK = "Kva er ein fjord, og korleis vart han til? Skriv gjerne litt om isen som forma dalane."
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."
ARABIC = "لماذا يبدو لون السماء أحمر عند الغروب؟ اشرح ذلك بإيجاز من فضلك."
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
def shared_gateway(engines, tmp_path_factory):
    """With the limits that users have: a browser opens connections that it may need, and a busy one needs them late."""
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), fleet(*engines, **USUAL))
    yield gateway
    gateway.stop()


def test_every_view_loads_from_this_origin_alone(visit, gateway):
    gateway.chat(NYNORSK)
    page = (one := visit()).open("fleet")
    for view, title in [*list(VIEWS.items())[1:], ("fleet", VIEWS["fleet"])]:
        page.locator(f'nav a[href="#{view}"]').click()
        page.get_by_role("heading", name=title, level=1).wait_for()
        assert page.locator("nav a[aria-current=page]").get_attribute("href") == f"#{view}"
        assert page.title() == f"{title} · Parlance"
        assert page.evaluate("document.activeElement.tagName") == "H1", "a screen reader hears which view it is"
    page.get_by_role("cell", name="Up").first.wait_for()
    assert one.watched.problems == []


def test_health_follows_the_engines(visit, gateway, engines):
    page = visit().open("fleet")
    big = page.get_by_role("row", name="big")
    big.get_by_text("● Up").wait_for()
    engines[0].health = 503
    big.get_by_text("▲ Down").wait_for()
    assert "health probe answered 503" in big.inner_text()
    assert "0.59 / 0.75" in big.inner_text()
    engines[0].health = 200
    big.get_by_text("● Up").wait_for()


def test_decisions_appear_are_filtered_and_pause(visit, gateway):
    gateway.chat(GERMAN)
    page = visit().open("decisions")
    rows(page).first.wait_for()
    known = rows(page).count()
    gateway.chat(NYNORSK, stream=True)
    expect(rows(page)).to_have_count(known + 1, timeout=WAIT_MS)
    first = rows(page).first
    text = first.inner_text()
    for part in ("nn", "small", "is the cheapest of 2 models that are good enough", "→", "200", "ms"):
        assert part in text
    before = rows(page).count()
    gateway.chat(GERMAN, model="big")
    gateway.chat(NYNORSK, model="nope")
    expect(rows(page)).to_have_count(before + 2, timeout=WAIT_MS)

    page.get_by_label("Language").select_option("de")
    assert all("German" in row for row in rows(page).all_inner_texts())
    assert rows(page).count() >= 1
    page.get_by_label("Language").select_option("")
    page.get_by_label("Status").select_option("4")
    assert all(row.rstrip().endswith("404") for row in rows(page).all_inner_texts())
    page.get_by_label("Status").select_option("")
    page.get_by_label("Model").select_option("big")
    assert rows(page).count() >= 1
    assert all("asked for by its id" in row or "big" in row for row in rows(page).all_inner_texts())
    page.get_by_label("Status").select_option("499")
    assert page.get_by_text("No request of the last ones fits these filters.").is_visible()
    page.get_by_label("Status").select_option("")
    page.get_by_label("Model").select_option("")

    page.get_by_role("button", name="Pause").click()
    shown = rows(page).count()
    gateway.chat(GERMAN)
    page.get_by_text("paused, 1 new").first.wait_for()
    assert rows(page).count() == shown
    page.get_by_role("button", name="Go on").click()
    assert rows(page).count() == shown + 1

    more = page.get_by_role("button", name=re.compile("^Details of the request")).first
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    details = page.locator("tr.details:visible")
    assert "Posterior" in details.inner_text()
    more.click()
    assert details.count() == 0


def test_the_cost_of_a_language_stands_in_its_row(visit, gateway):
    gateway.chat(GERMAN, model="big")
    page = visit().open("cost")
    row = page.get_by_role("row", name="German")
    row.wait_for()
    requests = gateway.metric("parlance_requests_total", language="de")
    assert f"{requests:.0f}" in row.get_by_role("cell").first.inner_text()
    assert "big" in row.inner_text()
    assert page.locator(".figures").inner_text().count("USD") >= 2


def test_without_an_autoscaler_the_plan_says_what_to_do(visit):
    page = visit().open("plan")
    page.get_by_text("No autoscaler is configured").wait_for()
    assert "--plan-url" in page.locator("main").inner_text()


def test_the_playground_explains_and_streams(visit, gateway, engines):
    page = visit().open("playground")
    page.get_by_label("Text", exact=True).fill(ARABIC)
    page.get_by_label("System prompt").fill("Svar kort.")
    page.get_by_label("Language BCP-47").fill("nn")
    page.get_by_label("Task").select_option("summary")
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("heading", name="Decision").wait_for()
    decision = page.get_by_role("region", name="Decision")
    assert "Norwegian Nynorsk" in decision.inner_text()
    assert "summary (from hint)" in decision.inner_text()
    assert [row.split()[0] for row in decision.locator("tbody th").all_inner_texts()] == ["small", "big"]
    assert not engines[1].requests, "explaining asks no engine"

    page.get_by_role("button", name="Send").click()
    reply = page.get_by_role("region", name="Answer")
    reply.get_by_text("Reply's language").wait_for()
    assert reply.locator(".answer").inner_text() == "Ein fjord."
    record = gateway.records()[-1]
    shown = reply.inner_text()
    assert f"{record['usage']['prompt_tokens']} in, {record['usage']['completion_tokens']} out" in shown
    assert "USD" in shown
    assert "at the gateway" in shown
    assert record["decision_id"] in shown
    sent = engines[1].requests[-1].json
    assert sent["messages"] == [{"role": "system", "content": "Svar kort."}, {"role": "user", "content": ARABIC}]
    assert "parlance" not in sent


@pytest.mark.parametrize("endpoint", ["completions", "responses", "messages"])
def test_every_endpoint_streams(visit, gateway, engines, endpoint):
    events = {
        "completions": [{"choices": [{"index": 0, "text": "Ein fjord."}]}],
        "responses": [{"type": "response.output_text.delta", "delta": "Ein fjord."}],
        "messages": [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Ein fjord."}}],
    }

    async def speak(request, reply):
        assert request.path.endswith(f"/v1/{endpoint}")
        await reply.start_stream()
        for event in events[endpoint]:
            await reply.event(**event)
        await reply.raw(b"0\r\n\r\n")

    for engine in engines:
        engine.handle = speak
    page = visit().open("playground")
    page.get_by_label("Endpoint").select_option(endpoint)
    page.get_by_label("Text", exact=True).fill(NYNORSK)
    page.get_by_role("button", name="Send").click()
    page.locator(".answer").get_by_text("Ein fjord.").wait_for()


def test_stop_ends_the_engines_work(visit, gateway, engines):
    async def endless(request, reply):
        await reply.start_stream()
        while True:
            await reply.token("fjord ")
            await asyncio.sleep(0.02)

    engines[1].handle = endless
    one = visit()
    one.watched.expected = ("/console/v1/chat/completions net::ERR_ABORTED",)
    page = one.open("playground")
    page.get_by_label("Text", exact=True).fill(NYNORSK)
    page.get_by_label("Text", exact=True).press("Control+Enter")
    page.locator(".answer").get_by_text("fjord").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped by you: the engine stopped too").wait_for()
    page.get_by_text("Cost").last.wait_for()
    assert engines[1].left == 1
    assert gateway.records()[-1]["status"] == 499


def test_errors_are_shown_with_what_to_do(visit, gateway, engines):
    async def breaks(request, reply):
        await reply.start_stream()
        await reply.token("Ein ")
        await reply.event(error={"message": "the engine died", "type": "server_error", "code": 500})

    one = visit()
    one.watched.expected = ("the server responded with a status of 40",)
    page = one.open("playground")
    page.get_by_role("button", name="Explain").click()
    assert page.get_by_label("Text", exact=True).evaluate("field => field.matches(':invalid:focus')"), (
        "an empty text is not sent"
    )
    page.get_by_label("Text", exact=True).fill(NYNORSK)
    page.get_by_label("Language BCP-47").fill("no language")
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("is not a BCP-47 tag").wait_for()
    page.get_by_label("Language BCP-47").fill("")
    engines[1].handle = breaks
    page.get_by_role("button", name="Send").click()
    page.locator(".failure").wait_for()
    assert page.locator(".answer").inner_text().strip() == "Ein"


def test_markup_from_outside_is_text(visit, gateway, engines):
    async def evil(request, reply):
        await reply.start_stream()
        await reply.token(EVIL)
        await reply.end()

    gateway.chat(NYNORSK, model=EVIL)
    gateway.chat(NYNORSK, parlance={"language": EVIL})
    gateway.chat(EVIL, parlance={"language": "x-<b>"})
    gateway.post("/v1/chat/completions", {"model": "auto", "messages": []}, **{"x-request-id": "a-b"})
    engines[1].handle = evil
    one = visit()
    page = one.open("decisions")
    rows(page).first.wait_for()
    for more in page.get_by_role("button", name=re.compile("^Details")).all()[:4]:
        more.click()
    page.get_by_text(EVIL[:20]).first.wait_for()
    page = one.open("playground")
    page.get_by_label("Text", exact=True).fill(NYNORSK)
    page.get_by_role("button", name="Send").click()
    page.locator(".answer").get_by_text(EVIL[:20]).wait_for()
    assert page.locator(".answer").inner_text() == EVIL
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0


def test_markup_in_a_plan_is_text(browser, pair, tmp_path, visit):
    async def plan(request, reply):
        reason = {"code": EVIL, "words": EVIL}
        part = {"wanted": 2, "needed": 2, "target": 2, "running": 1, "starting": 1, "draining": 0, "problem": EVIL,
                "bounds": {"min": 1, "max": 4}, "reason": reason, "blind": None, "outcome": "applied",
                "arriving_tokens_per_s": 1.5, "expected_tokens_per_s": 2, "replica_tokens_per_s": None}  # fmt: skip
        await reply.whole({"leader": True, "dry_run": False, "interval_s": 5, "at": 1, "age_s": 1, "policy": EVIL,
                           "problems": [EVIL], "models": {"big": part, EVIL: part}})  # fmt: skip

    pair[1].handle = plan
    gateway = GatewayProcess(tmp_path, fleet(*pair, **USUAL, plan_url=f"{pair[1].url}/plan"))
    try:
        one = visit(of=gateway)
        page = one.open("plan")
        page.get_by_role("row", name="big").wait_for()
        assert "late: one every 5 s is due" in page.locator(".figures").inner_text()
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("window.hacked") is None
        page = one.open("fleet")
        page.get_by_text("1 / 2").wait_for()
        one.context.close()
    finally:
        gateway.stop()


def test_with_keys_the_page_asks_for_one_and_keeps_it_nowhere(browser, pair, tmp_path, visit):
    from serve.gateway.auth import new_key

    key, digest = new_key()
    (tmp_path / "keys.yaml").write_text(f"keys: [{{name: op, tenant: ops, sha256: {digest}}}]")
    gateway = GatewayProcess(tmp_path, fleet(*pair, **USUAL, keys_file="keys.yaml"))
    try:
        one = visit(of=gateway)
        one.watched.expected = ("status of 401",)
        page = one.open("playground")
        page.get_by_label("Text", exact=True).fill(NYNORSK)
        page.get_by_role("button", name="Explain").click()
        page.get_by_text("Enter an API key in the form").wait_for()
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Send").click()
        page.locator(".answer").get_by_text("Ein fjord.").wait_for()
        assert key not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert key not in page.content()
        page = one.open("playground")
        assert page.get_by_label("API key").input_value() == "", "a page that is loaded anew has forgotten it"
        one.context.close()
    finally:
        gateway.stop()


def test_a_gateway_that_is_gone_is_said_and_found_again(browser, pair, tmp_path, visit):
    gateway = GatewayProcess(tmp_path, fleet(*pair, **USUAL))
    one = visit(of=gateway)
    one.watched.expected = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    page = one.open("fleet")
    page.get_by_text("● Up").first.wait_for()
    gateway.stop()
    gone = page.get_by_text("The gateway does not answer")
    gone.wait_for()
    again = GatewayProcess(tmp_path, fleet(*pair, **USUAL), ports=(gateway.port, gateway.admin_port))
    try:
        gone.wait_for(state="hidden")
        page.get_by_text("● Up").first.wait_for()
    finally:
        one.context.close()
        again.stop()


def test_a_page_that_nobody_looks_at_asks_nothing(visit):
    one = visit()
    page = one.open("decisions")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.wait_for_timeout(1500)  # the question that was under way
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(1500)
    assert asked
