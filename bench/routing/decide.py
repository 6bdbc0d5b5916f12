"""Times `serve.routing.decide`: CPU µs a decision by prompt size and number of models, detection included.

    python bench/routing/decide.py [--rounds N]

Prompts are prose in ten languages, each a little different, so that nothing is served from a cache of texts.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
from time import perf_counter

from serve.fleet.description import Fleet
from serve.fleet.loader import laptop, resolve
from serve.routing import ModelState, Request, decide, prepare
from serve.routing.observe import observe

SENTENCES = (
    "Kan du hjelpe meg å skrive ein kort tekst om korleis fjordane på Vestlandet vart til under istida? ",
    "Please write a short text about how the fjords of western Norway were formed during the ice age. ",
    "Kannst du mir helfen, einen kurzen Text über die Entstehung der Fjorde in der Eiszeit zu schreiben? ",
    "Peux-tu m'aider à écrire un court texte sur la formation des fjords pendant la période glaciaire ? ",
    "¿Puedes ayudarme a escribir un texto breve sobre cómo se formaron los fiordos en la era glacial? ",
    "Czy możesz mi pomóc napisać krótki tekst o tym, jak powstały fiordy w epoce lodowcowej? ",
    "Помоги мне написать короткий текст о том, как во время ледникового периода образовались фьорды. ",
    "Βοήθησέ με να γράψω ένα σύντομο κείμενο για το πώς σχηματίστηκαν τα φιόρδ την εποχή των παγετώνων. ",
    "氷河時代に西ノルウェーのフィヨルドがどのようにできたかについて、短い文章を書くのを手伝ってください。",
    "Voitko auttaa minua kirjoittamaan lyhyen tekstin siitä, miten vuonot syntyivät jääkauden aikana? ",
)


def prompts(characters: int, count: int) -> list[Request]:
    """`count` requests of about so many characters each, languages in turn, words shuffled."""
    rng = random.Random(7)  # noqa: S311 - a repeatable shuffle, no secret
    made = []
    for index in range(count):
        words = (SENTENCES[index % len(SENTENCES)] * (characters // 80 + 1)).split(" ")
        rng.shuffle(words)
        text = " ".join(words)[:characters]
        made.append(Request(text=text, characters=len(text), max_output_tokens=256))
    return made


def fleet_of(models: int) -> Fleet:
    """The laptop's fleet with so many models: copies under other names, at slightly other prices."""
    base = laptop()
    if models == len(base.models):
        return base
    entries = []
    for index in range(models):
        model = base.models[index % len(base.models)]
        price = model.price.model_dump()
        price["input_usd_per_mtok"] *= 1 + index / 100
        entries.append(
            {
                "id": f"{model.id[:50]}-{index}",
                "card": model.card.model_dump(mode="json"),
                "price": price,
                "upstream": {"base_url": "http://127.0.0.1:9"},
            }
        )
    return resolve({"models": entries}, "bench")


def quantiles(seconds: list[float]) -> str:
    """p50 and p99 in µs."""
    ordered = sorted(seconds)
    return f"{statistics.median(ordered) * 1e6:8.1f} {ordered[int(len(ordered) * 0.99)] * 1e6:8.1f}"


def main() -> None:
    """Prints one line for each size and fleet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    rounds = parser.parse_args().rounds
    prepare(fleet_of(1))
    # As the gateway does before it serves (serve/gateway/server.py): tables that stay are not walked again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    print(f"{'characters':>10} {'models':>6} {'p50 us':>8} {'p99 us':>8} {'of it reading the text p50, p99':>40}")
    for characters in (30, 100, 900, 2000, 20_000):
        requests = prompts(characters, min(rounds, 500))
        for models in (5, 10, 100):
            fleet = fleet_of(models)
            live = {model.id: ModelState(in_flight=3) for model in fleet.models}
            for request in requests[:20]:
                decide(request, fleet, live, 0.0)
            whole, reading = [], []
            for index in range(rounds):
                request = requests[index % len(requests)]
                began = perf_counter()
                decide(request, fleet, live, 0.0)
                middle = perf_counter()
                observe(request)
                whole.append(middle - began)
                reading.append(perf_counter() - middle)
            print(f"{characters:>10} {models:>6} {quantiles(whole)} {quantiles(reading):>40}")


if __name__ == "__main__":
    main()
