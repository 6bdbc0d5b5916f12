"""Writes serve/fleet/catalogue/words.tsv: characters that a word of running text takes, by language.

    python bench/quality/words.py LINES.tsv > serve/fleet/catalogue/words.tsv

LINES.tsv has a language and a sentence a line, with a tab between.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

# No spaces between words: no count of words. Their text is priced as the content of English words.
UNSPACED = ("ja", "th", "zh")

HEADER = """\
# Characters that a word of running text takes, its space or punctuation included: characters / words between spaces.
# Counted by bench/quality/words.py on news sentences of NTREX-128 (MicrosoftTranslator/NTREX) and, for se,
# UD_North_Sami-Giella, both CC BY-SA 4.0. No text of theirs stands here.
language	characters
"""


def main() -> int:
    """Counts, and prints the table."""
    characters: dict[str, int] = defaultdict(int)
    words: dict[str, int] = defaultdict(int)
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
        lang, _, text = line.partition("\t")
        if lang not in UNSPACED and text:
            characters[lang] += len(text) + 1  # the space to the next sentence
            words[lang] += len(text.split())
    print(HEADER, end="")
    for lang in sorted(words):
        print(f"{lang}\t{characters[lang] / words[lang]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
