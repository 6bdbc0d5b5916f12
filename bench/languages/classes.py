"""The classes of the language model, and the texts of those that are made from others'."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

Corpus = dict[str, dict[str, list[str]]]  # tag -> source -> texts

CORE = (
    "ar bg ca cs da de el en es et fi fo fr ga gl hi hr hu is it ja ko lt lv mt nb nl nn pl pt ro ru se sk sl sv th tr "
    "uk zh"
).split()
# The classes of each script, the bits of its hash and below the features kept (a row of the table each).
SCRIPTS = {
    "Latn": (
        "ca cs da de en es et fi fo fr ga gl hr hu is it lt lv mt nb nl nn pl pt ro se sk sl sv tr "
        "af sq eu bs sr-Latn cy lb id ms vi tl sw eo la br gd fy oc ast az uz ku kab ha ig yo zu xh so rw mg jv ht "
        "mi tk hsb fur rm sc lij vec co pap om ny st sn wo ln qu smn kl gn ceb tn haw "
        "ru-Latn uk-Latn bg-Latn el-Latn hi-Latn ar-Latn zxx"
    ).split(),
    "Cyrl": "ru uk bg be mk sr-Cyrl kk ky mn tg tt ba ab ce cv os sah zxx".split(),
    "Arab": "ar fa ur ps ckb ug sd pnb".split(),
    "Deva": "hi mr ne sa mai brx kok".split(),
    "Hani": "zh ja".split(),
    "Beng": "bn as".split(),
}
BITS = {"Latn": 22, "Cyrl": 20, "Arab": 20, "Deva": 20, "Hani": 20, "Beng": 20}
# Classes beside the catalogue's that are close to one of them get as many texts.
WIDELY_TRAINED = frozenset(("sh", "bs", "sr-Latn", "be", "mk", "sr-Cyrl", "fa"))
EVERY_HELD_OUT = 10


def held_out(text: str) -> bool:
    """Whether a line takes no part in the training."""
    return zlib.crc32(text.encode()) % EVERY_HELD_OUT == 0


def read(path: Path) -> Corpus:
    """The corpus that corpus.py wrote."""
    corpus: Corpus = defaultdict(lambda: defaultdict(list))
    for line in path.open(encoding="utf-8"):
        tag, source, text = line.rstrip("\n").split("\t")
        corpus[tag][source].append(text)
    return corpus


def _pairs(letters: str, latin: str) -> dict[str, str]:
    """Letters with what stands for them in Latin letters, `_` for nothing."""
    return {a: "" if b == "_" else b for a, b in zip(letters, latin.split(), strict=True)}


RUSSIAN = _pairs(
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya",
)
UKRAINIAN = RUSSIAN | _pairs("гґєиіїйщ", "h g ie y i i i shch")
BULGARIAN = RUSSIAN | _pairs("хщъьй", "h sht a _ y")
SERBIAN = _pairs("абвгдђежзијклљмнњопрстћуфхцчџш", "a b v g d đ e ž z i j k l lj m n nj o p r s t ć u f h c č dž š")
GREEK = _pairs(
    "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώςϊϋΐΰ",
    "a v g d e z i th i k l m n x o p r s t y f h ps o a e i i o y o s i y i y",
)
GREEK_BY_SHAPE = GREEK | _pairs("βηθξυχψωήύώ", "b h 8 ks u x ps w h u w")
ARABIC = _pairs(
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءأإآؤئ",
    "a b t th j 7 kh d th r z s sh s d t z 3 gh f q k l m n h w y a a 2 a i a 2 2",
)
HINDI = _pairs(
    "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "a aa i ee u oo e ai o au k kh g gh ch chh j jh t th d dh n t th d dh n p ph b bh m y r l v sh sh s h",
)
HINDI_SIGNS = _pairs("ािीुूेैोौंँ्ृ", "a i i u u e ai o au n n _ ri")
_FIRST_CONSONANT = 0x915


def _by(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: "".join(table.get(letter, letter) for letter in text.lower()).replace("_", "")


def _greek(text: str) -> str:
    return _by(GREEK_BY_SHAPE if zlib.crc32(text.encode()) % 2 else GREEK)(text)


def _hindi(text: str) -> str:
    out = []
    for i, letter in enumerate(text):
        if letter in HINDI:
            out.append(HINDI[letter])
            following = text[i + 1] if i + 1 < len(text) else " "
            if ord(letter) >= _FIRST_CONSONANT and following in HINDI:
                out.append("a")
        else:
            out.append(HINDI_SIGNS.get(letter, "" if "\u0900" <= letter <= "\u097f" else letter))
    return "".join(out).replace("_", "")


TRANSLITERATED: dict[str, tuple[str, Callable[[str], str]]] = {
    "ru-Latn": ("ru", _by(RUSSIAN)),
    "uk-Latn": ("uk", _by(UKRAINIAN)),
    "bg-Latn": ("bg", _by(BULGARIAN)),
    "el-Latn": ("el", _greek),
    "hi-Latn": ("hi", _hindi),
    "ar-Latn": ("ar", _by(ARABIC)),
    "sr-Latn": ("sr-Cyrl", _by(SERBIAN)),
}


SERBO_CROATIAN = ("hr", "bs", "sr-Latn")


def joined(tags: list[str]) -> list[str]:
    """The classes with Croatian, Bosnian and Serbian in Latin letters as one, `sh`."""
    return ["sh" if tag == "hr" else tag for tag in tags if tag not in ("bs", "sr-Latn")]


def derive(corpus: Corpus, join: bool) -> None:
    """Adds what is made from others: transliterated texts, and the words of Croatian, Bosnian and Serbian."""
    for tag, (source, transliterate) in TRANSLITERATED.items():
        for name, texts in corpus[source].items():
            if tag != "sr-Latn" or name != "udhr":  # which is there in Latin letters
                corpus[tag][name] = corpus[tag][name] + [transliterate(text) for text in texts]
    if join:
        for tag in SERBO_CROATIAN:
            for name, texts in corpus[tag].items():
                corpus["sh"][name] = corpus["sh"][name] + texts
    else:  # the words that they share: they are none of the other languages
        for tag in SERBO_CROATIAN:
            corpus[tag]["wordfreq"] = corpus["sh"]["wordfreq"]
