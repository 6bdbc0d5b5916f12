// Server-sent events of the gateway's endpoints, and the text in them.

/** The JSON objects of a stream's `data:` lines, as they come; `[DONE]` and comments are left out. */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = rest.split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const text = line.slice(5).trim();
      if (text !== "" && text !== "[DONE]") yield JSON.parse(text);
    }
    if (done) return;
  }
}

/** What an event adds to the answer: {text, thought, error}; an absent field adds nothing. */
export function delta(event) {
  if (event.error) return { error: event.error };
  switch (event.type) {
    case "error":
      return { error: event };
    case "response.output_text.delta":
      return { text: event.delta };
    case "response.reasoning_text.delta":
      return { thought: event.delta };
    case "content_block_delta":
      return { text: event.delta.text, thought: event.delta.thinking };
  }
  const choice = event.choices?.[0];
  if (!choice) return {};
  if (choice.delta) {
    return { text: choice.delta.content, thought: choice.delta.reasoning_content ?? choice.delta.reasoning };
  }
  return { text: choice.text };
}
