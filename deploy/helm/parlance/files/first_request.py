"""What `helm test` runs: waits for the gateway, asks for its models, makes one `auto` chat request as clients do.

Prints which model answered and in which language the question was seen; ends with 1 and a sentence otherwise. Standard
library alone. Environment: PARLANCE_URL, PARLANCE_API_KEY, PARLANCE_TIMEOUT_S, PARLANCE_KEY_FROM (where the key is).
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

QUESTION = "Hva heter hovedstaden i Norge? Svar med ett ord."
# An engine that is starting, a queue that is full, a proxy without an endpoint yet: all of that passes.
PASSING = (429, 502, 503, 504)


class Failed(Exception):
    """Waiting does not help, or there is no time left."""


def main() -> None:
    """The test. Raises Failed."""
    url, key = os.environ["PARLANCE_URL"], os.environ.get("PARLANCE_API_KEY", "")
    if not key:
        raise Failed(f"there is no API key in {os.environ['PARLANCE_KEY_FROM']}: set test.key to a Secret with one")
    deadline = time.monotonic() + float(os.environ["PARLANCE_TIMEOUT_S"])
    models, _ = ask(f"{url}/v1/models", key, None, deadline)
    say(f"models: {', '.join(model['id'] for model in models['data'])}")
    body = {"model": "auto", "max_tokens": 16, "messages": [{"role": "user", "content": QUESTION}]}
    answer, headers = ask(f"{url}/v1/chat/completions", key, body, deadline)
    choice = answer["choices"][0]
    if answer["usage"]["completion_tokens"] < 1:
        raise Failed(f"the answer has no token: {json.dumps(answer)[:500]}")
    say(
        f"auto chose {headers.get('x-parlance-model')} for {headers.get('x-parlance-language')} "
        f"(reason: {headers.get('x-parlance-reason')}), {answer['usage']['completion_tokens']} tokens, "
        f"finish_reason {choice['finish_reason']}"
    )
    say(f"Q: {QUESTION}")
    say(f"A: {choice['message'].get('content')!r}")


def ask(url: str, key: str, body: dict | None, deadline: float) -> tuple[dict, dict]:
    """The answer's JSON and headers, tried until there is one. Raises Failed when none can be expected."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    last = "nothing was tried"
    while (left := deadline - time.monotonic()) > 0:
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=left) as response:
                return json.load(response), {name.lower(): value for name, value in response.headers.items()}
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
            if error.code == 401:
                raise Failed(f"{url}: 401, the gateway does not know the key in {os.environ['PARLANCE_KEY_FROM']}; "
                             f"test.key names another Secret. It said {said}") from error  # fmt: skip
            if error.code not in PASSING:
                raise Failed(f"{url}: {error.code} {said}") from error
            news = f"{error.code} {said}"
        except (OSError, ValueError) as error:
            news = str(getattr(error, "reason", error))
        if news != last:
            say(f"{url}: not yet ({news})")
            last = news
        time.sleep(min(2.0, max(0.0, deadline - time.monotonic())))
    raise Failed(
        f"{url}: no answer within test.timeoutSeconds ({os.environ['PARLANCE_TIMEOUT_S']} s), at last: {last}. "
        "`kubectl get rayservice,pods` tells what engines wait for"
    )


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        say(f"FAILED: {failure}")
        sys.exit(1)
    say("PASSED")
