// The gateway's data: asked for while somebody looks, and no oftener than it is read.

const HOW_LONG_MS = 10_000;
const SLOWEST_MS = 15_000;

/** The gateway did not answer, or not with data; the message is a sentence. */
class Unanswered extends Error {}

/** The JSON at /console/data/<name>. Throws Unanswered. */
export async function data(name, query = {}) {
  const url = new URL(`/console/data/${name}`, location.origin);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(HOW_LONG_MS), cache: "no-store" });
  } catch {
    throw new Unanswered("The gateway does not answer");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Unanswered(body?.error?.message ?? `The gateway answered ${response.status}`);
  return body;
}

let troubled = false;

function trouble(error) {
  const bar = document.getElementById("trouble");
  if (error === null) {
    if (troubled) bar.hidden = true;
    troubled = false;
    return;
  }
  if (troubled) return; // said once; the time stays that of the first failure
  troubled = true;
  const at = new Date().toLocaleTimeString("en-GB");
  bar.textContent = `${error.message} (since ${at}). What stands here is from before; asking again.`;
  bar.hidden = false;
}

/**
 * Asks again and again while the page can be seen. `ask` returns a promise; the next question waits for the answer, so
 * that a slow gateway is never asked twice at once, and failures make the pauses longer. Returns a function that ends it.
 */
export function poll(everyMs, ask) {
  let timer = null;
  let ended = false;
  let failures = 0;
  let asking = false;

  async function turn() {
    timer = null;
    if (ended || asking || document.hidden) return;
    asking = true;
    try {
      await ask();
      failures = 0;
      trouble(null);
    } catch (error) {
      failures += 1;
      if (!(error instanceof Unanswered)) console.error(error); // a fault of this page
      if (!ended) trouble(error);
    } finally {
      asking = false;
    }
    if (!ended) timer = setTimeout(turn, Math.min(everyMs * 2 ** failures, Math.max(SLOWEST_MS, everyMs)));
  }

  function seen() {
    if (!document.hidden && timer === null) turn();
  }

  document.addEventListener("visibilitychange", seen);
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}
