"""Trains the language model's tables: `python bench/languages/train.py CORPUS.tsv OUT_FOLDER`.

For each script, a linear (softmax) model over the n-grams that tell most about the language, by Adagrad. A tenth of all
lines is left out (`classes.held_out`): bench/languages/fit.py fits the rest on it. The same corpus, seed and number of
threads give the same tables up to the order of floating-point sums.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from classes import BITS, CORE, SCRIPTS, WIDELY_TRAINED, Corpus, derive, held_out, joined, read

from serve.routing.ngrams import rows
from serve.routing.sample import sample
from serve.routing.scripts import script_of

Texts = list[tuple[int, str]]  # number of the class, text

KEPT = {"Latn": 65_535, "Cyrl": 24_000, "Arab": 8_000, "Deva": 8_000, "Hani": 8_000, "Beng": 4_000}
# A feature in fewer places of the training is not looked at.
LEAST_TEXTS = 6
# What texts are drawn from: kinds of sources, and the share of each among a language's texts where it has all of them.
WORDS = ("wordfreq", "stopwords", "faker")
SENTENCES = ("train",)
MANUALS = ("udhr", "spacy", "gnome", "handbook")
PHRASES = ("osm", "cldr")
SENTENCE_SHARE, MANUAL_SHARE, STRING_SHARE, PHRASE_SHARE, WORD_SHARE = 0.32, 0.18, 0.27, 0.08, 0.2
# Words are drawn by frequency to this power: a list's first hundred are not all there is.
FREQUENCY_POWER = 0.7
UNSPACED = ("ja", "zh")
BATCH = 256


def cut(text: str, rng: random.Random, unspaced: bool, least: int, most: int) -> str:
    """A run of words out of a text (of characters, two or three for a word, where words are not spaced)."""
    if unspaced:
        size = rng.randint(least * 2, most * 3)
        at = rng.randint(0, max(0, len(text) - size))
        return text[at : at + size]
    words = text.split()
    size = rng.randint(least, most)
    at = rng.randint(0, max(0, len(words) - size))
    return " ".join(words[at : at + size])


class Maker:
    """Draws the training texts of one class."""

    def __init__(self, corpus: Corpus, tag: str, rng: random.Random) -> None:
        self.rng = rng
        own = {s: [t for t in ts if s in WORDS or not held_out(t)] for s, ts in corpus[tag].items()}
        self.sentences = [t for s in SENTENCES for t in own.get(s, ())]
        self.manuals = [t for s in MANUALS for t in own.get(s, ())]
        self.strings = [t for s, ts in own.items() if s not in SENTENCES + MANUALS + WORDS + PHRASES for t in ts]
        self.phrases = [t for s in PHRASES for t in own.get(s, ())]
        pairs = [t.split(" ", 1) for s in WORDS for t in own.get(s, ())] if tag != "zxx" else []
        self.names = own.get("faker", []) if tag == "zxx" else []
        self.words = [w for _, w in pairs]
        weights = np.array([10 ** (-float(c) / 100 * FREQUENCY_POWER) for c, _ in pairs])
        self.cumulated = np.cumsum(weights)
        self.unspaced = tag in UNSPACED

    def name(self) -> str:
        """Names, or letters at random."""
        rng = self.rng
        if rng.random() < 0.85:
            return " ".join(rng.choice(self.names) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 5))))
        letters = (
            "abcdefghijklmnopqrstuvwxyz"
            if rng.random() < 0.7
            else rng.choice(("asdfghjkl", "ha", "hm", "xyz", "lo", "qwert", "aeh"))
        )
        words = ["".join(rng.choice(letters) for _ in range(rng.randint(2, 10))) for _ in range(rng.randint(1, 4))]
        return " ".join(words)

    def one(self) -> str:
        """One text."""
        rng = self.rng
        if self.names:
            return self.name()
        kinds = [
            (SENTENCE_SHARE, self.sentences),
            (MANUAL_SHARE, self.manuals),
            (STRING_SHARE, self.strings),
            (PHRASE_SHARE, self.phrases),
            (WORD_SHARE, self.words),
        ]
        kinds = [(w, k) for w, k in kinds if k]
        at = rng.random() * sum(w for w, _ in kinds)
        for weight, kind in kinds:  # noqa: B007 - the last one looked at is the one drawn
            at -= weight
            if at <= 0:
                break
        if kind is self.words:
            count = rng.choice((1, 1, 2, 3, 4))
            picks = [rng.random() * self.cumulated[-1] for _ in range(count)]
            return " ".join(
                self.words[min(int(np.searchsorted(self.cumulated, p)), len(self.words) - 1)] for p in picks
            )
        text = rng.choice(kind)
        if kind is self.sentences or kind is self.manuals:
            roll = rng.random()
            if roll < 0.25:
                return text
            if roll < 0.45:
                return cut(text, rng, self.unspaced, 7, 12)
            if roll < 0.9:
                return cut(text, rng, self.unspaced, 3, 6)
            return cut(text, rng, self.unspaced, 1, 3)
        if rng.random() < 0.5:
            return cut(text, rng, self.unspaced, 1, 8)
        return text


def texts_for(corpus: Corpus, script: str, tags: list[str], core_each: int, other_each: int, named: float) -> Texts:
    """The training texts of a script: `core_each` for a language of the catalogue, `other_each` for another; in a share
    `named` of them stand names, which tell no language."""
    names = [name for name in corpus["zxx"]["faker"] if script_of(name) == script and not held_out(name)] or [""]
    out = []
    for k, tag in enumerate(tags):
        rng = random.Random(f"0 {tag}")
        maker = Maker(corpus, tag, rng)
        if not (maker.sentences or maker.manuals or maker.strings or maker.phrases or tag == "zxx"):
            print("nothing for", tag)
            continue
        each = core_each if tag in CORE or tag in WIDELY_TRAINED else other_each
        have = len(maker.sentences) + len(maker.manuals) + len(maker.strings) + len(maker.phrases)
        each = min(each, have * 12) if tag != "zxx" else core_each // 2
        made = 0
        while made < each:
            text = maker.one()
            if named and tag not in (*UNSPACED, "zxx") and rng.random() < named:
                words = text.split()
                at = rng.choice((0, 0, len(words), rng.randint(0, len(words))))
                words.insert(at, " ".join(rng.choice(names) for _ in range(rng.choice((1, 1, 2, 3)))))
                text = " ".join(words)
            text = sample(text)
            made += 1
            if text and script_of(text) == script:
                out.append((k, text))
    return out


class Features:
    """The texts of a script as rows of the table: `flat[offsets[i]:offsets[i + 1]]` for text i of class `labels[i]`."""

    def __init__(self, texts: Texts, bits: int, most: int) -> None:
        found, lengths, labels = [], [], []
        for label, text in texts:
            row = rows(text, bits)
            if len(row):
                found.append(row.astype(np.int32))
                lengths.append(len(row))
                labels.append(label)
        hashes, sizes = np.concatenate(found), np.array(lengths)
        self.labels = np.array(labels)
        self.keys = _telling(hashes, np.repeat(self.labels, sizes), bits, most)
        place = np.full(1 << bits, -1, dtype=np.int32)
        place[self.keys] = np.arange(len(self.keys))
        at = place[hashes]
        owner = np.repeat(np.arange(len(sizes)), sizes)[at >= 0]
        self.flat = torch.from_numpy(at[at >= 0])
        self.offsets = np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=len(sizes)))))

    def batch(self, picks: np.ndarray, kept: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Rows of some texts behind one another, those that are not `kept` left out, and how many each text has."""
        sizes = self.offsets[picks + 1] - self.offsets[picks]
        starts = np.cumsum(sizes) - sizes
        index = np.repeat(self.offsets[picks] - starts, sizes) + np.arange(sizes.sum())
        owner = np.repeat(np.arange(len(picks)), sizes)[kept]
        return self.flat[torch.from_numpy(index[kept])].long(), np.bincount(owner, minlength=len(picks))


def _telling(hashes: np.ndarray, labels: np.ndarray, bits: int, most: int) -> np.ndarray:
    """The hashes, at most so many, that say most about the class: count x Kullback-Leibler divergence of the class
    given the feature from an even class (the G-test of Dunning 1993, https://aclanthology.org/J93-1003). Ascending."""
    classes = int(labels.max()) + 1
    counts = np.bincount(hashes, minlength=1 << bits)
    often = counts >= LEAST_TEXTS
    number = np.cumsum(often) - 1
    mask = often[hashes]
    cells = np.bincount(number[hashes[mask]] * classes + labels[mask], minlength=int(often.sum()) * classes)
    joint = cells.reshape(-1, classes).astype(np.float32)
    # A class counts as if it had as many features as any other.
    joint /= joint.sum(0) + 1
    joint *= counts[often].sum() / classes
    share = joint / joint.sum(1, keepdims=True)
    gain = (joint * np.log(np.maximum(share, 1e-9) * classes)).sum(1)
    best = np.argsort(-gain, kind="stable")[:most]
    return np.sort(np.flatnonzero(often)[best])


def train(features: Features, classes: int, epochs: int, rate: float, drop: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (rows x classes) and biases: cross-entropy of softmax(sum of a text's rows / sqrt(their number) + bias).

    Adagrad, one rate for a row. Of a text's features a share `drop` is left out each time it is seen: a language is
    told by many weak signs, and none may rely on another.
    """
    weight = torch.zeros(len(features.keys), classes)
    bias = torch.zeros(classes)
    moved = torch.full((len(features.keys),), 1e-3)
    order = np.flatnonzero(np.diff(features.offsets))
    rng = np.random.default_rng(0)
    steps = epochs * (len(order) // BATCH)
    step = 0
    at_all = torch.arange(BATCH)
    for epoch in range(epochs):
        rng.shuffle(order)
        loss, began = 0.0, time.time()
        for at in range(0, len(order) - BATCH + 1, BATCH):
            picks = order[at : at + BATCH]
            total = int((features.offsets[picks + 1] - features.offsets[picks]).sum())
            found, sizes = features.batch(picks, rng.random(total) >= drop)
            starts = torch.from_numpy(np.cumsum(sizes) - sizes)
            scale = torch.from_numpy(np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32))
            goal = torch.from_numpy(features.labels[picks])
            sums = torch.nn.functional.embedding_bag(found, weight, starts, mode="sum", per_sample_weights=scale)
            logs = torch.log_softmax(sums + bias, 1)
            loss -= float(logs[at_all, goal].sum())
            gradient = logs.exp()
            gradient[at_all, goal] -= 1
            gradient /= BATCH
            touched, where = torch.unique(found, return_inverse=True)
            owner = torch.from_numpy(np.repeat(np.arange(BATCH), sizes))
            change = torch.zeros(len(touched), classes).index_add_(0, where, gradient[owner] * scale[:, None])
            moved[touched] += (change * change).mean(1) * BATCH
            now = rate * (1.02 - step / steps)
            weight[touched] -= (now / moved[touched].sqrt())[:, None] * change
            bias -= now * gradient.sum(0)
            step += 1
        print(f"  epoch {epoch}: cross-entropy {loss / len(order):.4f}, {time.time() - began:.0f} s", flush=True)
    return weight.numpy(), bias.numpy()


def main() -> None:
    """Trains every script and writes a file each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scripts", default=",".join(SCRIPTS), help="ISO 15924 codes, with commas")
    parser.add_argument("--core", type=int, default=14_000, help="texts for a language of the catalogue")
    parser.add_argument("--other", type=int, default=3_500, help="texts for another")
    parser.add_argument("--names", type=float, default=0.0, help="share of texts that names are put into")
    parser.add_argument("--join", action="store_true", help="Croatian, Bosnian and Serbian as one class")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=25.0)
    parser.add_argument("--drop", type=float, default=0.4)
    args = parser.parse_args()
    torch.set_num_threads(2)
    corpus = read(args.corpus)
    derive(corpus, args.join)
    args.out.mkdir(parents=True, exist_ok=True)
    for script in args.scripts.split(","):
        core = args.core if script == "Latn" else args.core * 2 // 3
        tags = joined(SCRIPTS[script]) if args.join else SCRIPTS[script]
        features = Features(texts_for(corpus, script, tags, core, args.other, args.names), BITS[script], KEPT[script])
        print(f"{script}: {len(tags)} classes, {len(features.labels)} texts, {len(features.keys)} features")
        weight, bias = train(features, len(tags), args.epochs, args.rate, args.drop)
        made: dict[str, Any] = {"tags": np.array(tags), "keys": features.keys, "bits": BITS[script]}
        np.savez(args.out / f"{script}.npz", weight=weight, bias=bias, **made)


if __name__ == "__main__":
    main()
