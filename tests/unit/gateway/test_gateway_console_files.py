"""The page's files: whole, from nowhere else, nothing inline, and colours that can be read in both themes."""

import asyncio
import re
from importlib import resources

import pytest

from serve.gateway.console.files import Files

pytestmark = pytest.mark.unit

STATIC = {entry.name: entry.read_text("utf-8") for entry in resources.files("serve.gateway.console.static").iterdir()}
CSS = STATIC["theme.css"]
SCRIPTS = {name: text for name, text in STATIC.items() if name.endswith(".js")}


def sent(name, **headers):
    messages = []

    async def send(message):
        messages.append(message)

    given = {key.replace("_", "-").encode(): value for key, value in headers.items()}
    asyncio.run(Files().send(name, given, send))
    return messages[0]["status"], dict(messages[0]["headers"]), messages[1]["body"]


def test_everything_that_is_named_exists():
    html = STATIC["index.html"]
    named = set(re.findall(r'(?:src|href)="/console/([^"]+)"', html))
    named |= {name for text in SCRIPTS.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert named | {"index.html"} == STATIC.keys(), "every file is used, and every file that is used is here"
    assert all(name in Files() for name in STATIC)


@pytest.mark.parametrize("name", STATIC)
def test_nothing_comes_from_elsewhere(name):
    text = STATIC[name].replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1:8082/plan", "")
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|@import|url\(", text)


def test_nothing_is_inline_and_no_text_becomes_markup():
    html = STATIC["index.html"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert all(
        re.fullmatch(r"<script[^>]*\ssrc=[^>]*></script>", tag) for tag in re.findall(r"<script.*?</script>", html)
    )
    for name, text in SCRIPTS.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )


def test_a_file_is_sent_once_and_confirmed_after():
    status, headers, body = sent("index.html")
    assert (status, headers[b"content-type"], headers[b"cache-control"]) == (
        200,
        b"text/html; charset=utf-8",
        b"no-cache",
    )
    assert body.startswith(b"<!doctype html>")
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-frame-options"] == b"DENY"
    for rule in (b"default-src 'none'", b"script-src 'self'", b"frame-ancestors 'none'", b"form-action 'none'"):
        assert rule in headers[b"content-security-policy"]
    assert b"unsafe" not in headers[b"content-security-policy"]
    for known in (headers[b"etag"], b'"old", ' + headers[b"etag"], b"W/" + headers[b"etag"]):
        status, again, body = sent("index.html", if_none_match=known)
        assert (status, body, again[b"etag"]) == (304, b"", headers[b"etag"])
        assert b"content-type" not in again
    assert sent("index.html", if_none_match=b'"old"')[0] == 200


def colours(block):
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))


def themes():
    """Light, dark by the system, dark by hand."""
    media = CSS.index("@media (prefers-color-scheme: dark)")
    by_hand = CSS.index(':root[data-theme="dark"]')
    light = colours(CSS[:media])
    system = light | colours(CSS[media : CSS.index("}", media)])
    return light, system, light | colours(CSS[by_hand : CSS.index("}", by_hand)])


def contrast(one, other):
    """WCAG 2.2's contrast ratio."""

    def luminance(colour):
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_dark_is_the_same_by_system_and_by_hand():
    light, system, by_hand = themes()
    assert system == by_hand
    assert system != light


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_meet_aa(theme):
    palette = themes()[theme]
    for ground in ("page", "surface", "sunken"):
        for text in ("text", "muted", "accent", "good", "warn", "bad"):
            assert contrast(palette[text], palette[ground]) >= 4.5, f"{text} on {ground}"
    assert contrast(palette["on-accent"], palette["accent"]) >= 4.5
    for name in ("control", *(f"model-{number}" for number in range(8))):  # edges and bars: 3:1
        assert contrast(palette[name], palette["surface"]) >= 3, name
