"""Fits what is left after training and writes the shipped file: `fit.py CORPUS.tsv OUT.npz TABLES [OTHER_TABLES]`.

Two trainings are averaged: both are linear, so that their mean is one table of the same size. Fitted on the lines that
`train.py` held out are the temperature of our model by length, the weights of ours and py3langid's
together. Then the tables become 8-bit steps, a step for each language.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from classes import CORE, SCRIPTS, Corpus, held_out, read
from train import cut

from serve.routing.identify import SERBO_CROATIAN
from serve.routing.ngrams import rows
from serve.routing.sample import sample
from serve.routing.scripts import script_of
from serve.routing.second import second_opinion

VERSION = 1
OUTSIDE = ("af", "be", "bs", "cy", "eu", "fa", "id", "lb", "mk", "sq", "sr-Cyrl", "sr-Latn", "vi")
CLIP = 99.97  # percentile of a language's weights beyond which they are cut off
IGNORED_STEPS = 1
# In nats: a language outside the catalogue is about half as likely as one inside. A judgement, not fitted: the mix of
# the held-out lines says nothing of the mix of prompts.
OUTSIDE_NATS = -0.7


def development(corpus: Corpus) -> list[tuple[str, str, str]]:
    """(set, tag, text) of held-out lines: sentences, 3-6 words, short strings, outside languages, names."""
    rng = random.Random(7)
    out = []
    for tag in CORE:
        lines = [text for text in corpus[tag]["train"] if held_out(text)]
        out += [("sent", tag, text) for text in lines]
        out += [("short", tag, cut(text, rng, tag in ("ja", "zh"), 3, 6)) for text in lines for _ in range(2)]
        strings = [
            text
            for source in ("matrix", "django", "wagtail")
            for text in corpus[tag][source]
            if held_out(text) and len(text.split()) <= 8 and (len(text.split()) > 1 or rng.random() < 0.15)
        ]
        rng.shuffle(strings)
        out += [("chat", tag, text) for text in strings[:150]]
    for tag in OUTSIDE:
        lines = [
            text
            for source in ("udhr", "django", "wagtail", "sphinx", "gnome", "allauth")
            for text in corpus[tag][source]
            if held_out(text) and len(text.split()) >= 7
        ]
        rng.shuffle(lines)
        out += [("osent", tag, text) for text in lines[:40]]
        out += [("oshort", tag, cut(text, rng, False, 3, 6)) for text in lines[:40] for _ in range(2)]
    names = [text for text in corpus["zxx"]["faker"] if held_out(text)]
    rng.shuffle(names)
    out += [("names", "zxx", " ".join(names[at : at + rng.choice((1, 2, 2))])) for at in range(0, 300, 2)]
    return out


def averaged(folders: list[Path], script: str) -> dict[str, np.ndarray]:
    """The mean of one or two trainings' tables: as many features as the first has, those that both have first."""
    first = dict(np.load(folders[0] / f"{script}.npz"))
    if len(folders) == 1:
        return first
    second = np.load(folders[1] / f"{script}.npz")
    classes = [str(tag) for tag in second["tags"]]
    column = [
        classes.index("sh" if "sh" in classes and tag in SERBO_CROATIAN else tag) for tag in map(str, first["tags"])
    ]
    keys = np.union1d(first["keys"], second["keys"])
    weight = np.zeros((len(keys), len(column)), np.float32)
    weight[np.searchsorted(keys, first["keys"])] += first["weight"] / 2
    weight[np.searchsorted(keys, second["keys"])] += second["weight"][:, column] / 2
    order = np.sqrt((weight**2).sum(1))
    order[np.isin(keys, np.intersect1d(first["keys"], second["keys"]))] += 1e9
    kept = np.sort(np.argsort(-order, kind="stable")[: len(first["keys"])])
    bias = (first["bias"] + second["bias"][column]) / 2
    return first | {"weight": weight[kept], "bias": bias, "keys": keys[kept]}


def scores(
    models: dict[str, dict[str, np.ndarray]], texts: list[tuple[str, str, str]]
) -> dict[str, dict[str, torch.Tensor]]:
    """By script: our logits, py3langid's log-likelihoods below its best (NaN where it lacks a class), and counts."""
    parts: dict[str, dict[str, list]] = {}
    tables = {
        script: (m["weight"], m["bias"], m["keys"], int(m["bits"]), [str(t) for t in m["tags"]])
        for script, m in models.items()
    }
    for _, tag, text in texts:
        excerpt = sample(text)
        script = script_of(excerpt)
        if script not in tables:
            continue
        weight, bias, keys, bits, tags = tables[script]
        if tag not in tags or tag == "zxx":
            continue
        found = rows(excerpt, bits)
        at = np.searchsorted(keys, found).clip(max=len(keys) - 1)
        at = at[keys[at] == found]
        size = max(len(at), 1)
        part = parts.setdefault(script, {"ours": [], "theirs": [], "features": [], "bytes": [], "gold": []})
        part["ours"].append(weight[at].sum(0) / np.sqrt(size) + bias)
        part["theirs"].append(second_opinion(excerpt, tags))
        part["features"].append(size)
        part["bytes"].append(len(excerpt.encode("utf-8", "replace")))
        part["gold"].append(tags.index(tag))
    out = {}
    for script, part in parts.items():
        tags = tables[script][4]
        out[script] = {
            "ours": torch.tensor(np.array(part["ours"])).float(),
            "theirs": torch.tensor(np.array(part["theirs"])).float(),
            "features": torch.tensor(part["features"]).float() / 100,
            "bytes": torch.tensor(part["bytes"]).float() / 60,
            "right": torch.tensor(np.array([_right(tags, gold) for gold in part["gold"]])),
            "outside": torch.tensor([float(tag not in CORE) for tag in tags]),
        }
    return out


def _right(tags: list[str], gold: int) -> list[bool]:
    """The classes that count as right: Croatian, Bosnian and Serbian for one another, as py3langid divides them."""
    group = SERBO_CROATIAN if tags[gold] in SERBO_CROATIAN else (tags[gold],)
    return [tag in group for tag in tags]


def logits(part: dict, q: torch.Tensor, together: bool) -> torch.Tensor:
    """The formulas of serve/routing/identify.py."""
    total = part["ours"] * torch.exp(q[0]) * (part["features"] ** q[1])[:, None] + part["outside"] * OUTSIDE_NATS
    if together:
        missing = torch.isnan(part["theirs"])
        theirs = torch.nan_to_num(part["theirs"])
        shares = torch.softmax(total, 1) * ~missing
        neutral = (shares * theirs).sum(1) / (shares.sum(1) + 1e-6)
        theirs = torch.where(missing, neutral[:, None], theirs)
        total = total + theirs * (torch.exp(q[3]) * part["bytes"] ** q[4])[:, None]
    return total


def fit(parts: dict, together: bool) -> np.ndarray:
    """Least cross-entropy."""
    q = torch.tensor([0.0, 0.0, OUTSIDE_NATS, -2.0, -0.3], requires_grad=True)
    optimiser = torch.optim.Adam([q], lr=0.05)
    for _ in range(200):
        total = texts = 0
        for part in parts.values():
            found = logits(part, q, together)
            total = total + (found.logsumexp(1) - found.masked_fill(~part["right"], -1e9).logsumexp(1)).sum()
            texts += len(found)
        loss = total / texts
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print("together" if together else "alone", f"cross-entropy {loss.item():.4f}", q.detach().numpy().round(3))
    return q.detach().numpy()[: 5 if together else 3]


def main() -> None:
    """Fits and packs."""
    corpus, out, folders = read(Path(sys.argv[1])), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:5]]
    models = {script: averaged(folders, script) for script in SCRIPTS}
    parts = scores(models, development(corpus))
    arrays: dict[str, np.ndarray] = {
        "version": np.array(VERSION),
        "alone": fit(parts, False).astype(np.float32),
        "both": fit(parts, True).astype(np.float32),
    }
    for script in SCRIPTS:
        model = models[script]
        weight = model["weight"]
        step = np.percentile(np.abs(weight), CLIP, axis=0).astype(np.float32) / 127
        table = np.clip(np.rint(weight / step), -127, 127).astype(np.int8)
        table[np.abs(table) <= IGNORED_STEPS] = 0
        arrays |= {
            f"{script}.table": table,
            f"{script}.step": step,
            f"{script}.bias": model["bias"].astype(np.float32),
            f"{script}.tags": model["tags"],
            f"{script}.keys": np.diff(model["keys"], prepend=0).astype(
                np.uint16 if np.diff(model["keys"], prepend=0).max() < 65536 else np.uint32
            ),
            f"{script}.bits": np.array(model["bits"]),
        }
    np.savez_compressed(out, **arrays)
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
