// The body of a playground's request, in the shape of each endpoint.

const DEFAULT_MAX_TOKENS = 512; // /v1/messages has none of its own

/** Endpoints that have a place for a system prompt. */
export const WITH_SYSTEM = new Set(["chat/completions", "responses", "messages"]);

/** `asked`: {endpoint, model, text, system, language, task, floor, maxCost, maxTokens}; empty values are left out. */
export function bodyOf(asked, stream) {
  const { endpoint, model, text, system, maxTokens } = asked;
  const body = { model, ...SHAPES[endpoint](text, WITH_SYSTEM.has(endpoint) ? system : "", maxTokens) };
  const hints = {};
  if (asked.language) hints.language = asked.language;
  if (asked.task) hints.task = asked.task;
  if (asked.floor !== "") hints.quality_floor = asked.floor;
  if (asked.maxCost !== "") hints.max_cost_usd = asked.maxCost;
  if (Object.keys(hints).length > 0) body.parlance = hints;
  if (stream && endpoint !== "embeddings") body.stream = true;
  return body;
}

const SHAPES = {
  "chat/completions": (text, system, max) => ({
    messages: [...(system ? [{ role: "system", content: system }] : []), { role: "user", content: text }],
    ...(max ? { max_tokens: max } : {}),
  }),
  completions: (text, _, max) => ({ prompt: text, ...(max ? { max_tokens: max } : {}) }),
  responses: (text, system, max) => ({
    input: text,
    ...(system ? { instructions: system } : {}),
    ...(max ? { max_output_tokens: max } : {}),
  }),
  messages: (text, system, max) => ({
    messages: [{ role: "user", content: text }],
    ...(system ? { system } : {}),
    max_tokens: max || DEFAULT_MAX_TOKENS,
  }),
  embeddings: (text) => ({ input: text }),
};

/**
 * Sends a body to the gateway's application by way of this port. Throws Refusal with the gateway's own words, and
 * DOMException AbortError when `signal` ends it.
 */
export async function post(path, body, key, signal) {
  const headers = { "content-type": "application/json", "x-parlance-console": "1" };
  if (key) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(`/console/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ message: "The gateway does not answer.", code: "unreachable" }, 0);
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => null);
    throw new Refusal(answer?.error ?? { message: `The gateway answered ${response.status}.` }, response.status);
  }
  return response;
}

/** The gateway refused or failed: its error object and status. */
export class Refusal extends Error {
  constructor(error, status) {
    super(error.message);
    this.code = error.code ?? error.type;
    this.param = error.param;
    this.status = status;
  }
}
