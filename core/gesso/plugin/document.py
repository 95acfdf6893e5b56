"""Writes docs/operations.md from the compiled schemas: the page says what the file says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HEAD = """# Operations

This page is written by `gesso plugins compile` from `operations.json`, which is compiled from the parameters' own classes. Do not edit it.

An operation is what a client asks for with `submit` (see [protocol.md](protocol.md)) and what the command line offers as a subcommand.
Fields that are left out take the default; where the default is null, the model decides when the job is resolved.
"""

PROMPTS = """## Prompts

Models of the family `stable-diffusion` read the notation that artists know from other tools: `(word)` weighs 1.1 times, `[word]`
1 / 1.1 times, `(word:1.3)` 1.3 times (up to 10), brackets nest, `\\(` is the character itself, and what follows `BREAK` starts a new
window of the text encoder. Prompts longer than the window go on in the next one.

The family `procedural` reads names of materials, colours, sizes and wear, and warns of every word that it does not know.
"""

VOCABULARY = """## Hints for panels

Each field carries `x-ui`, so that a host draws a panel from the schema alone. What a host does not know it shows as a plain field of the
field's type. Plugins write the hints with `gesso.plugin.fields.ui`.

| key | meaning |
|---|---|
| `widget` | what to draw, see below |
| `group` | fields of one group belong together |
| `order` | fields are shown in this order |
| `range` | `[from, to, step]` that a slider spans; values outside are allowed as far as `minimum` and `maximum` go |
| `advanced` | true where a field belongs behind a fold |
| `positional` | true where the command line takes the field without a flag |
| `presets` | what each choice of the field sets other fields to, where those are left at their defaults |
| `several` | true where each picture of the job is several files as long as the field is on |

| widget | draw |
|---|---|
| `prompt` | a large text field |
| `negative` | a text field for what must not be in the picture |
| `text` | a text field of one line |
| `seed` | a whole number with a button for a random one; null means random, and the daemon then chooses and tells |
| `size` | a number of pixels |
| `slider` | a number with a slider over `range` |
| `count` | how many pictures |
| `tile` | the axes of seamless tiling |
| `choice` | a drop-down list of `enum`, or of the catalogue that `x-choices` names |
| `model` | a drop-down list of models |
| `image` | a slot for a picture, or for several where the type is an array; the value is `{"sha256": ...}` of a blob |
| `mask` | a slot for a mask, white where the picture is edited |
| `colour` | a colour to pick, as text `#rrggbb` |
| `toggle` | a check box (true or false) |
| `hidden` | nothing |

`x-choices` is `samplers`, `schedules`, `styles`, `scorers`, `upscalers` (they stand under `catalogues` in the same file), `models`,
`image_encoders`, `style_networks` or `ip_adapters` (in the answer to `status`).
A field that may be null has `"type": [T, "null"]` and `"default": null`; there is no `$ref` and no `anyOf` with null.
"""


def operations_page(content: Mapping[str, Any]) -> str:
    """The page for the content of operations.json."""
    parts = [HEAD]
    parts.extend("\n".join(_operation(name, operation)) for name, operation in content["operations"].items())
    parts.extend((PROMPTS, VOCABULARY))
    parts.append("\n".join(_catalogues(content["catalogues"])))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `{name}`"
    yield ""
    yield f"{operation['summary']} From the plugin `{operation['plugin']}`."
    yield ""
    yield "| field | type | default | allowed | |"
    yield "|---|---|---|---|---|"
    required = operation["params"].get("required", [])
    for field, schema in operation["params"]["properties"].items():
        default = "required" if field in required else f"`{_literal(schema.get('default'))}`"
        cells = (f"`{field}`", _type(schema), default, ", ".join(_bounds(schema)), " ".join(schema.get("description", "").split()))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _literal(value: object) -> str:
    if value is None:
        return "null"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        yield " ".join(f"`{_literal(value)}`" for value in schema["enum"])
    if "x-choices" in schema:
        yield f"one of the {schema['x-choices'].replace('_', ' ')}"
    if "minimum" in schema and "maximum" in schema:
        yield f"{schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        yield f"{schema.get('minLength', 0)} to {schema['maxLength']} characters"


def _catalogues(catalogues: Mapping[str, Any]) -> Iterator[str]:
    yield "## Samplers"
    yield ""
    yield "| name | title | order | evaluations a step | stochastic | paper |"
    yield "|---|---|---|---|---|---|"
    for entry in catalogues["samplers"]:
        evaluations = entry["evaluations"] or "as many as it needs"
        stochastic = "yes" if entry["stochastic"] else "no"
        yield f"| `{entry['name']}` | {entry['title']} | {entry['order']} | {evaluations} | {stochastic} | {entry['paper']} |"
    yield ""
    yield "## Schedules"
    yield ""
    yield "| name | title | paper |"
    yield "|---|---|---|"
    for entry in catalogues["schedules"]:
        yield f"| `{entry['name']}` | {entry['title']} | {entry['paper']} |"
    yield ""
    yield "## Guidances"
    yield ""
    yield "| name | title | options | paper |"
    yield "|---|---|---|---|"
    for entry in catalogues["guidances"]:
        options = ", ".join(f"`{name}` {_literal(schema.get('default'))}" for name, schema in entry["options"].items())
        yield f"| `{entry['name']}` | {entry['title']} | {options} | {entry['paper']} |"
    yield ""
    yield "## Scorers and upscalers"
    yield ""
    yield "| name | title | needs a prompt | paper |"
    yield "|---|---|---|---|"
    for entry in catalogues["scorers"]:
        yield f"| `{entry['name']}` | {entry['title']} | {'yes' if entry['prompted'] else 'no'} | {entry['paper']} |"
    for entry in catalogues["upscalers"]:
        yield f"| `{entry['name']}` | {entry['title']} | no | {entry['paper']} |"
    yield ""
    yield "## Files"
    yield ""
    yield "What `output` may name, `--format` on the command line; a picture with other samples stays the file that it would have been."
    yield ""
    yield "| name | title | media type | holds |"
    yield "|---|---|---|---|"
    for entry in catalogues["codecs"]:
        yield f"| `{entry['name']}` | {entry['title']} | `{entry['media_type']}` | {', '.join(entry['holds'])} |"
    yield ""
    yield "## Styles"
    yield ""
    yield "| name | title | prompt | negative |"
    yield "|---|---|---|---|"
    for entry in catalogues["styles"]:
        yield f"| `{entry['name']}` | {entry['title']} | {entry['prompt']} | {entry['negative']} |"
