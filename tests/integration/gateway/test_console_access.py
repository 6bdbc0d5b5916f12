"""The operator's page for everybody: by keyboard alone, in both themes, on a telephone, in any script."""

import re

import pytest

from tests.integration.gateway.conftest import fleet
from tests.support.browser import USUAL, VIEWS
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

NYNORSK = "Kva er ein fjord, og korleis vart han til? Skriv gjerne litt om isen som forma dalane."
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."
ARABIC = "لماذا يبدو لون السماء أحمر عند الغروب؟ اشرح ذلك بإيجاز من فضلك."


@pytest.fixture(scope="module")
def shared_gateway(engines, tmp_path_factory):
    """With the limits that users have: a browser opens connections that it may need, and a busy one needs them late."""
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), fleet(*engines, **USUAL))
    yield gateway
    gateway.stop()


CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex='0']"
REACHABLE = f"""[...document.querySelectorAll("{CONTROLS}")]
    .filter(node => node.checkVisibility() && !node.disabled).length"""
WALK = """() => {
    const node = document.activeElement;
    if (node === document.body || node === document.documentElement) return null;
    node.dataset.walked ??= String(document.querySelectorAll("[data-walked]").length);
    const style = getComputedStyle(node);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    return { at: Number(node.dataset.walked), outlined, what: node.outerHTML.slice(0, 80) };
}"""


@pytest.mark.parametrize("view", VIEWS)
def test_the_keyboard_reaches_every_control_and_gets_out_again(visit, gateway, view):
    gateway.chat(NYNORSK)
    page = visit().open(view)
    page.wait_for_load_state("networkidle") if view in ("plan", "playground") else page.get_by_role("table").wait_for()
    reachable = page.evaluate(REACHABLE)
    seen = []
    for _ in range(reachable + 2):
        page.keyboard.press("Tab")
        here = page.evaluate(WALK)
        if here is None:
            break
        assert here["outlined"], f"no visible focus: {here['what']}"
        seen.append(here["at"])
    assert len(set(seen)) == reachable, "every control, once, and then out of the page"
    assert seen == sorted(seen)


def test_the_skip_link_and_the_theme_work_by_keyboard(visit):
    page = visit().open("fleet")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.get_by_role("heading", name="Fleet and health").is_visible()
    theme = page.get_by_role("button", name="Theme")
    theme.focus()
    for name in ("light", "dark"):
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == name
        assert theme.inner_text() == f"Theme: {name}"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark", "kept"


NAMED = "a, button, input, select, textarea, summary, table, nav, section, img, [role=region]"
NAMELESS = f"""[...document.querySelectorAll("{NAMED}")]
    .filter(node => node.checkVisibility())
    .filter(node => !(node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()
                      || node.getAttribute("alt") !== null)).map(node => node.outerHTML.slice(0, 120))"""
POSITIVE = 'document.querySelectorAll(\'[tabindex]:not([tabindex="0"]):not([tabindex="-1"])\').length'
# WCAG 2.2's ratio of every element that has text of its own against the first ground behind it that is not transparent.
PALE = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const linear = (c) => c <= 10.31475 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
    const share = [0.2126, 0.7152, 0.0722];
    const luminance = (rgb) => rgb.slice(0, 3).reduce((sum, c, at) => sum + share[at] * linear(c), 0);
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = channels(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const checked = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility()
        && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
    const pale = checked.map((node) => {
        const both = [luminance(channels(getComputedStyle(node).color)), luminance(ground(node))];
        const [one, other] = both.sort((a, b) => a - b);
        return [(other + 0.05) / (one + 0.05), node.outerHTML.slice(0, 100)];
    }).filter(([ratio]) => ratio < 4.5);
    return { checked: checked.length, pale };
}"""
LEVELS = "[...document.querySelectorAll('main h1, main h2, main h3')].map(node => Number(node.tagName[1]))"


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(visit, gateway, tmp_path, scheme, width):
    for text in (NYNORSK, ARABIC, GERMAN):
        gateway.chat(text, stream=True)
    gateway.chat(NYNORSK, model="nope")
    one = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for view in VIEWS:
        page = one.open(view)
        if view == "playground":
            page.get_by_label("Text", exact=True).fill(ARABIC)
            assert page.get_by_label("Text", exact=True).evaluate("field => field.matches(':dir(rtl)')")
            page.get_by_role("button", name="Send").click()
            page.get_by_text("Reply's language").wait_for()
        elif view == "decisions":
            page.get_by_role("button", name=re.compile("^Details")).first.click()
            arabic = page.locator('small[lang="ar"]').first
            arabic.wait_for()
            assert arabic.evaluate("node => node.matches(':dir(rtl)')")
        elif view == "plan":
            page.locator(".empty").wait_for()
        else:
            page.get_by_role("table").wait_for()
        assert page.evaluate(NAMELESS) == [], view
        assert page.evaluate(POSITIVE) == 0, view
        contrast = page.evaluate(PALE)
        assert contrast["checked"] > 10
        assert contrast["pale"] == [], view
        assert page.evaluate(LEVELS)[0] == 1
        landmarks = page.evaluate(
            "['header', 'nav', 'main', 'footer'].map(tag => document.querySelectorAll(tag).length)"
        )
        assert landmarks == [1, 1, 1, 1]
        for wide in (width, 900, 1160) if width == 1440 else (width,):
            page.set_viewport_size({"width": wide, "height": 900})
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{view} scrolls sideways at {wide} px"
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("getComputedStyle(document.body).fontVariantNumeric") == "tabular-nums"
        picture = tmp_path / f"{view}.png"
        page.screenshot(path=str(picture))
        assert picture.stat().st_size > 5_000
