"""Chat templates in the manner of each family: the same turns, and the same roles refused.

Written for the tiny models; the real models bring their own.
"""

from __future__ import annotations

from serve.engines.tiny.recipe import Recipe

_TEXT = """{%- macro text(content) -%}
{%- if content is string -%}{{ content }}{%- elif content is not none -%}
{%- for part in content -%}{%- if part.type == 'text' -%}{{ part.text }}{%- endif -%}{%- endfor -%}
{%- endif -%}{%- endmacro -%}
"""

# Llama 3.1-3.3 header turns. Tools are listed before the first user turn and answered as JSON, which is what vLLM's
# `llama3_json` parser reads; results come back in an `ipython` turn.
LLAMA3 = (
    _TEXT
    + """{{- bos_token -}}
{%- if messages and messages[0].role in ('system', 'developer') -%}
{%- set system = text(messages[0].content) | trim -%}{%- set turns = messages[1:] -%}
{%- else -%}{%- set system = '' -%}{%- set turns = messages -%}{%- endif -%}
{%- if system or tools -%}
{{- '<|start_header_id|>system<|end_header_id|>\n\n' -}}
{%- if tools -%}{{- 'Environment: ipython\n' -}}{%- endif -%}
{{- system + '<|eot_id|>' -}}
{%- endif -%}
{%- set state = namespace(listed=false) -%}
{%- for message in turns -%}
{%- if message.role == 'tool' or message.role == 'ipython' -%}
{{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + text(message.content) + '<|eot_id|>' -}}
{%- elif message.tool_calls is defined and message.tool_calls -%}
{%- if message.tool_calls | length != 1 -%}
{{- raise_exception('This model supports one tool call at a time') -}}{%- endif -%}
{%- set call = message.tool_calls[0].function -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{{- '{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + '}<|eot_id|>' -}}
{%- else -%}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' -}}
{%- if tools and message.role == 'user' and not state.listed -%}
{%- set state.listed = true -%}
{{- 'Given the following functions, answer with JSON for a function call: ' -}}
{{- '{"name": function name, "parameters": dictionary of argument name and its value}.\n\n' -}}
{%- for tool in tools -%}{{- tool | tojson(indent=4) + '\n\n' -}}{%- endfor -%}
{%- endif -%}
{{- text(message.content) | trim + '<|eot_id|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}
"""
)

# Gemma 2: no system role, and turns that alternate.
GEMMA = (
    _TEXT
    + """{{- bos_token -}}
{%- if messages and messages[0].role == 'system' -%}{{- raise_exception('System role not supported') -}}{%- endif -%}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
{%- endif -%}
{%- set role = 'model' if message.role == 'assistant' else message.role -%}
{{- '<start_of_turn>' + role + '\n' + text(message.content) | trim + '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\n' -}}{%- endif -%}
"""
)

CHATML = (
    _TEXT
    + """{{- bos_token -}}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\n' + text(message.content) | trim + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""
)

# NorMistral-thinking: system prompt and instruction in plain tags; the answer opens with its thoughts.
INSTRUCTION = (
    _TEXT
    + """{{- bos_token -}}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{- '<system_prompt>' + text(message.content) | trim + '</system_prompt>\n' -}}
{%- elif message.role == 'user' -%}{{- '<instruction>' + text(message.content) | trim + '</instruction>\n' -}}
{%- else -%}{{- text(message.content) | trim + eos_token + '\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<think>\n' -}}{%- endif -%}
"""
)


def template(recipe: Recipe) -> str | None:
    """The chat template of a recipe, or None for a base model."""
    if not recipe.template:
        return None
    if not recipe.system_role:
        return GEMMA if recipe.family == "gemma2" else _no_system(CHATML)
    if recipe.family == "llama3":
        return LLAMA3
    return INSTRUCTION if recipe.reasoning and recipe.family == "normistral" else CHATML


def _no_system(text: str) -> str:
    return (
        "{%- if messages and messages[0].role == 'system' -%}"
        "{{- raise_exception('System role not supported') -}}{%- endif -%}" + text
    )
