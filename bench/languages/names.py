"""Writes `serve/routing/data/names.tsv`: what languages are called in the catalogue's languages, in the grammatical
forms that stand in a request ("po angielsku", "englanniksi", "i mBéarla").

    python bench/languages/names.py > serve/routing/data/names.tsv

Base forms are CLDR's (Unicode licence), read through Babel (`pip install babel`; not needed by Parlance itself); the
inflected ones follow the rules below, one function a language, with the exceptions beside them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from babel import Locale, __version__

# The catalogue's languages, then further ones that people ask for.
_CATALOGUE = (
    "ar bg ca cs da de el en es et fi fo fr ga gl hi hr hu is it ja ko lt lv mt nb nl nn pl pt ro ru se sk sl sv th tr "
    "uk zh"
)
CATALOGUE = tuple(_CATALOGUE.split())
_FURTHER = (
    "no vi he fa sr bs sq eu mk id be af cy hy ka az kk uz ms tl sw ur bn ta te mr ne pa gu ml si km lo my mn am so la "
    "eo ku ps gd lb yi kl br fy"
)
FURTHER = tuple(_FURTHER.split())

# py3langid's labels beyond these.
_DETECTED = (
    "an as ba br bs ckb crh cv dz gn gom ht ig jv kv ky lg ln mg mk mi oc os qu rw "
    "sa su tg tk tt ug vo wa war xh yo zu sq sr"
)
DETECTED = tuple(_DETECTED.split())

# Names beside CLDR's.
ALSO = Path(__file__).with_name("also.tsv")
# Where CLDR has no English name.
FURTHER_ENGLISH = {"gom": "Konkani"}


def _sub(pattern: str, new: str, word: str) -> str:
    return re.sub(pattern, new, word) if re.search(pattern, word) else ""


def _german(name: str) -> list[str]:
    if not name.endswith("sch"):
        return [name, name, ""]
    return [name, f"{name}e", f"{name}er"]


def _polish(name: str) -> list[str]:
    return [name, _sub("(s|c|dz)ki$", r"\1ku", name), f"{name}m" if name.endswith("i") else name]


def _czech(name: str) -> list[str]:
    if not name.endswith("ina"):
        return ["", name, name]
    irregular = {"němčina": "německy", "lotyština": "lotyšsky"}
    adverb = irregular.get(name) or _sub("čtina$", "cky", name) or _sub("ština$", "sky", name)
    return [adverb, f"{name[:-1]}ě", f"{name[:-1]}y"]


def _slovak(name: str) -> list[str]:
    if not name.endswith("ina"):
        return ["", name, name]
    irregular = {"nemčina": "nemecky", "lotyština": "lotyšsky", "angličtina": "anglicky", "poľština": "poľsky"}
    adverb = irregular.get(name) or _sub("čtina$", "cky", name) or _sub("(š|č)tina$", "sky", name)
    return [adverb or _sub("čina$", "sky", name), f"{name[:-1]}e", f"{name[:-1]}y"]


def _slovenian(name: str) -> list[str]:
    if not name.endswith("ščina"):
        return [name, name, "", "", "", ""]
    stem = name[:-5]
    return [f"{stem}ščini", f"{stem}ščino", f"{stem}ško", f"{stem}sko", f"{stem}škem", f"{stem}skem"]


def _croatian(name: str) -> list[str]:
    return [name, f"{name[:-1]}om" if name.endswith("i") and name[-2] in "kč" else name]


def _russian(name: str) -> list[str]:
    if not name.endswith("ий"):
        return [name, f"{name}е" if name in ("иврит", "идиш", "тагалог") else name, "", ""]
    return [name, f"{name[:-2]}ом", f"по-{name[:-1]}", f"по {name[:-1]}"]


def _ukrainian(name: str) -> list[str]:
    if not name.endswith("а"):
        return [name, name, "", ""]
    return [f"{name[:-1]}ою", f"{name[:-1]}у", f"по-{name[:-1]}и", f"{name[:-1]}ій"]


def _icelandic(name: str) -> list[str]:
    if not name.endswith("ska"):
        return [name]
    stem = name[:-1]
    vowels = [m.start() for m in re.finditer("[aáeéiíoóuúyýöæ]", stem)]
    if vowels and stem[vowels[-1]] == "a":
        stem = f"{stem[: vowels[-1]]}ö{stem[vowels[-1] + 1 :]}"
    if name == "ítalska":
        stem = "ítölsk"
    return [f"{stem}u"]


def _faroese(name: str) -> list[str]:
    if not name.endswith("skt"):
        return [name, name, ""]
    # The a of the last syllable becomes o: danskt, donskum. In long loans one hears both.
    stem = name[:-1]
    return [name, f"{stem}um", f"{re.sub('a(?=[^aeiouáíóúýæø]*$)', 'o', stem)}um"]


def _finnish(name: str) -> list[str]:
    stem = name
    for ending, weak in (("nti", "nni"), ("kki", "ki"), ("kka", "ka"), ("suomi", "suome")):
        if stem.endswith(ending):
            stem = stem.removesuffix(ending) + weak
            break
    if stem[-1] not in "aeiouyäöå":
        stem += "i"
    return [f"{stem}ksi", f"{stem}n"]


def _latvian(name: str) -> list[str]:
    for ending, adverb in (("iešu", "iski"), ("ņu", "niski"), ("ļu", "liski"), ("ču", "ciski"), ("u", "iski")):
        if name.endswith(ending):
            return [name, name.removesuffix(ending) + adverb]
    return [name, ""]


def _lithuanian(name: str) -> list[str]:
    if name == "vokiečių":
        return [name, "vokiškai"]
    for ending, adverb in (("iečių", "ietiškai"), ("ių", "iškai"), ("ų", "iškai")):
        if name.endswith(ending):
            return [name, name.removesuffix(ending) + adverb]
    return [name, ""]


def _hungarian(name: str) -> list[str]:
    stem = f"{name[:-1]}á" if name.endswith("a") else f"{name[:-1]}é" if name.endswith("e") else name
    heard = [c for c in name if c in "aáoóuúeéöőüű"]
    back = bool(heard) and heard[-1] in "aáoóuú"
    ul, ra = ("ul", "ra") if back else ("ül", "re")
    if name in ("ír", "hindi"):
        ul, ra = "ül", "re"
    return [f"{stem}{ul}", f"{stem}{ra}", name]


def _turkish(name: str) -> list[str]:
    last = [c for c in name.lower() if c in "aıoueiöü"]
    ending = "ya" if last and last[-1] in "aıou" else "ye"
    return [name, f"{name}{ending}", f"{name}'{ending}"]


_ECLIPSIS = {"b": "mb", "c": "gc", "d": "nd", "f": "bhf", "g": "ng", "p": "bp", "t": "dt"}


def _irish(name: str) -> list[str]:
    first, low = name[0].lower(), name.lower()
    if first in "aeiouáéíóú":
        return [f"in {low}", f"as {low}", f"go h{low}", f"san {low}"]
    eclipsed = _ECLIPSIS.get(first, first) + low[1:]
    lenited = f"{first}h{low[1:]}" if first in "bcdfgmpt" else low
    return [f"i {eclipsed}", f"as {low}", f"go {low}", f"sa {lenited}"]


def _maltese(name: str) -> list[str]:
    low = name.lower()
    if low[0] in "aeiou" or low.startswith("għ"):
        return [f"bl-{low}", f"għall-{low}", f"fl-{low}", f"bil-{low}"]
    article = low[0] if low[0] in "ċdnrstxżz" else "l"
    return [f"bi{article}-{low}", f"għa{article if article != 'l' else 'll'}-{low}", f"fi{article}-{low}", ""]


def _sami(name: str) -> list[str]:
    return (
        [f"{name[:-6]}gillii", f"{name[:-6]}gielas", f"{name[:-6]}gielain"]
        if name.endswith("giella")
        else [name, "", ""]
    )


def _hindi(name: str) -> list[str]:
    plain = name.replace("\u093c", "")
    return [name, plain if plain != name else ""]


def _arabic(name: str) -> list[str]:
    if not name.startswith("ال"):
        return [name, f"ب{name}", ""]
    short = name[:-1] if name.endswith("ية") else ""  # as people say it: بالإنجليزي
    return [name, f"ب{name}", f"ل{name[1:]}", short and f"ب{short}", short and f"ل{short[1:]}"]


def _ending(suffixes: str) -> Callable[[str], list[str]]:
    return lambda name: [f"{name}{suffix}" for suffix in suffixes.split("|")]


FORMS: dict[str, Callable[[str], list[str]]] = {
    "ar": _arabic, "cs": _czech, "de": _german, "fi": _finnish, "fo": _faroese, "ga": _irish, "hi": _hindi,
    "hr": _croatian,
    "hu": _hungarian, "is": _icelandic, "ko": _ending("로|로만"), "lt": _lithuanian, "lv": _latvian, "mt": _maltese,
    "pl": _polish, "ru": _russian, "se": _sami, "sk": _slovak, "sl": _slovenian, "tr": _turkish, "uk": _ukrainian,
}  # fmt: skip


def _bases(also: Mapping[tuple[str, str], list[str]], ui: str, tag: str) -> Iterable[str]:
    """The base names: CLDR's without what stands in brackets, and the further ones."""
    cldr = Locale.parse(ui).languages.get(tag, "")
    names = [cldr] if cldr and not re.search(r"[-(\[]", cldr) else []
    names += also.get((ui, tag), ())
    return dict.fromkeys(name.replace("\u02bc", "'") for name in names)


def main() -> None:
    """Prints the table."""
    lines = ALSO.read_text(encoding="utf-8").splitlines()
    also = {(ui, tag): names.split("|") for ui, tag, names in (line.split("\t") for line in lines if line[0] != "#")}
    print(
        f"# Names of languages in languages: language, what is named, forms (columns by |). CLDR {__version__} (Babel),"
    )
    print("# Unicode licence v3: see LICENSE.unicode. Inflected and further names: Parlance, Apache-2.0. Generated by")
    print("# bench/languages/names.py; edit that.")
    for ui in CATALOGUE:
        for tag in (*CATALOGUE, *FURTHER):
            for base in _bases(also, ui, tag):
                forms = FORMS.get(ui, lambda name: [name])(base.lower() if ui not in ("hi", "tr") else base)
                if ui == "tr":
                    forms = [form.replace("İ", "i").replace("I", "ı").lower() for form in forms]
                print(ui, tag, "|".join(forms), sep="\t")


def english() -> None:
    """Prints `languages.tsv`: the English name of every tag that may be asked for or detected."""
    print(f"# tag, English name. CLDR {__version__} (Babel), Unicode licence v3: see LICENSE.unicode. Generated by")
    print("# bench/languages/names.py --english.")
    for tag in dict.fromkeys((*CATALOGUE, *FURTHER, *DETECTED)):
        print(tag, Locale("en").languages.get(tag) or FURTHER_ENGLISH[tag], sep="\t")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    english() if "--english" in sys.argv else main()
