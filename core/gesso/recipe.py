"""How a picture was made, inside its PNG or WebP: our own JSON and the `parameters` text that every peer reads. Standard library only;
it decodes no pixels.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gesso import exif
from gesso.errors import InvalidRequest

SCHEMA = 1
TEXT_LIMIT = 4 * 1024 * 1024
"""A text chunk may unpack to this many bytes; larger ones are left out."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ITEM = re.compile(r'\s*(\w[\w \-/]{1,60}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""One "Key: value" of the last line, as AUTOMATIC1111 splits it; a bounded key keeps a hostile text cheap."""

_LORA = re.compile(r"[ ]?<lora:([^:<>]{1,200}):(-?\d+(?:\.\d+)?)(?::[^<>]{0,200})?>")


@dataclass(frozen=True)
class Recipe:
    """All that is needed to make a picture again. ``params`` are complete (count 1, own seed); ``labels`` are the peers' names of sampler
    and schedule; ``environment`` is what the bytes depend on besides; ``hashes`` are the peers' short hashes of LoRAs (AutoV3) by name.
    """

    operation: str
    params: Mapping[str, Any]
    model: str
    model_digest: str
    version: str
    level: str = "exact"
    role: str = "image"
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    def dumps(self) -> str:
        """The JSON of the chunk `gesso`: one line of ASCII, keys sorted."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def loads(text: str) -> Recipe:
        """The recipe in the chunk `gesso`; raises InvalidRequest. Unknown fields of later versions are ignored."""
        try:
            content = json.loads(text)
        except ValueError as fault:
            raise InvalidRequest(f"The recipe in the picture is not valid JSON: {fault}.") from fault
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise InvalidRequest(
                "The recipe in the picture is of another version of Gesso.", hint="Use the version that wrote it, or a newer one."
            )
        kinds = {"operation": str, "params": dict, "model": str, "model_digest": str, "version": str}
        for name, kind in kinds.items():
            if not isinstance(content.get(name), kind):
                raise InvalidRequest(f"The recipe in the picture has no valid `{name}`.")
        known = {name: content[name] for name in Recipe.__dataclass_fields__ if name in content}
        return Recipe(**known)


def texts_of(recipe: Recipe | None) -> dict[str, str]:
    """What a file carries: `parameters` for the peers and `gesso` for us; nothing where there is no recipe."""
    return {} if recipe is None else {"parameters": infotext(recipe), "gesso": recipe.dumps()}


def read_recipe(source: Path | bytes) -> Recipe | None:
    """The recipe that Gesso wrote into a picture; None where there is none. Raises InvalidRequest for a file of another kind."""
    text = read_texts(source).get("gesso")
    return None if text is None else Recipe.loads(text)


def read_params(source: Path | bytes) -> dict[str, Any]:
    """The parameters for `generate` in a picture from Gesso or a peer: our recipe, else the `parameters` text, else ComfyUI's `prompt`
    graph. Raises InvalidRequest where the picture carries none.
    """
    texts = read_texts(source)
    if "gesso" in texts:
        return dict(Recipe.loads(texts["gesso"]).params)
    if "parameters" in texts:
        return parse_infotext(texts["parameters"])
    if "prompt" in texts:
        return parse_comfyui(texts["prompt"])
    raise InvalidRequest("The picture carries no recipe: neither Gesso nor a tool that Gesso can read wrote into it how it was made.")


def read_texts(source: Path | bytes) -> dict[str, str]:
    """What a picture says in words: the text chunks of a PNG by keyword (tEXt, zTXt, iTXt; the first of a name counts), the notes in the
    EXIF block of a WebP. Raises InvalidRequest where it is neither.
    """
    if isinstance(source, Path):
        try:
            data = source.read_bytes()
        except OSError as fault:
            raise InvalidRequest(f"{source} cannot be read: {fault.strerror}.") from fault
    else:
        data = source
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return next((exif.unpack(block) for kind, block in _riff(data) if kind == b"EXIF"), {})
    if not data.startswith(_SIGNATURE):
        raise InvalidRequest(f"{source if isinstance(source, Path) else 'The picture'} is neither a PNG nor a WebP file.")
    texts: dict[str, str] = {}
    for kind, body in _chunks(data):
        key, _, rest = body.partition(b"\0")
        text = _chunk_text(kind, rest)
        if text is not None:
            texts.setdefault(key.decode("latin-1"), text)
    return texts


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The text chunks; a file that is cut short ends early."""
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a WebP; a file that is cut short ends early."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            return
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _chunk_text(kind: bytes, rest: bytes) -> str | None:
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        packed, encoding = rest[1:], "latin-1"
    else:
        parts = rest[2:].split(b"\0", 2)
        if len(parts) < 3:
            return None
        if rest[:1] != b"\1":
            return parts[2].decode("utf-8", "replace")
        packed, encoding = parts[2], "utf-8"
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(packed, TEXT_LIMIT)
    except zlib.error:
        return None
    return unpacked.decode(encoding, "replace") if unpacker.eof else None


def infotext(recipe: Recipe) -> str:
    """The recipe as AUTOMATIC1111 writes it: prompt, negative prompt, one line of "Key: value" items."""
    params = recipe.params
    items = {
        "Steps": params.get("steps"),
        "Sampler": recipe.labels.get("sampler", params.get("sampler")),
        "Schedule type": recipe.labels.get("schedule", params.get("schedule")),
        "CFG scale": _number(params.get("guidance")),
        **_guidance(params),
        "Seed": params.get("seed"),
        "Size": f"{params['width']}x{params['height']}" if params.get("width") and params.get("height") else None,
        "Model hash": recipe.model_digest[:10] or None,
        "Model": recipe.model,
        "Denoising strength": _number(params.get("strength")),
        **_tiling(str(params.get("tile", "none"))),
        "Lora hashes": ", ".join(f"{name}: {short}" for name, short in recipe.hashes.items()) or None,
        "Map": recipe.role if recipe.role != "image" else None,
        "Version": f"gesso {recipe.version}",
    }
    called = "".join(f" <lora:{name}:{weight:g}>" for name, weight in (params.get("lora") or {}).items())
    lines = [str(params.get("prompt", "")) + called]
    if params.get("negative"):
        lines.append(f"Negative prompt: {params['negative']}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in items.items() if value is not None))
    return "\n".join(lines)


def _guidance(params: Mapping[str, Any]) -> dict[str, str | None]:
    """What differs from constant guidance, as AUTOMATIC1111 (Skip Early CFG), its extension CFG_Rescale_webui (CFG Rescale) and SD.Next
    (CFG end, PAG scale) name it; the other items are our own. "Guidance" is stable-diffusion.cpp's for the scale that a network embeds.
    """
    extra = params.get("guidance_extra") or {}
    start, end = params.get("guidance_start", 0.0), params.get("guidance_end", 1.0)
    named = {"perturbed_attention": "PAG scale", "skip_layer": "SLG scale"}
    scales = {key: _number(extra[name].get("scale")) for name, key in named.items() if isinstance(extra.get(name), dict)}
    others = [name for name in extra if name not in named]
    return {
        "CFG Rescale": _number(params.get("guidance_rescale") or None),
        "CFG schedule": None if params.get("guidance_schedule", "constant") == "constant" else params["guidance_schedule"],
        "Skip Early CFG": _number(start) if start > 0 else None,
        "CFG end": _number(end) if end < 1 else None,
        **scales,
        "Guidance extra": ", ".join(others) or None,
    }


def _tiling(tile: str) -> dict[str, str | None]:
    if tile == "none":
        return {}
    one_axis = {"Tile X": str(tile == "x"), "Tile Y": str(tile == "y")}
    return {"Tiling": "True", **(one_axis if tile != "xy" else {})}


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",\n:") else text


def parse_infotext(text: str) -> dict[str, Any]:
    """The parameters for `generate` in a `parameters` text of AUTOMATIC1111, Forge, SD.Next or a ComfyUI saver, as far as they go; a
    sampler may be a label with its schedule ("DPM++ 2M Karras"). Items without a counterpart are left out.
    """
    *lines, last = text.strip().split("\n")
    if len(_ITEM.findall(last)) < 3:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    into = prompt
    for line in lines:
        head, marker, tail = line.partition("Negative prompt:")
        if marker and not head.strip():
            into = negative
            into.append(tail.strip())
        else:
            into.append(line)
    words, loras = _without_loras("\n".join(prompt))
    params: dict[str, Any] = {"prompt": words, **({"lora": loras} if loras else {})}
    if any(line.strip() for line in negative):
        params["negative"] = "\n".join(negative).strip()
    params.update(_items(last))
    return params


def _without_loras(prompt: str) -> tuple[str, dict[str, float]]:
    """The prompt without A1111's ``<lora:NAME:WEIGHT>``, and the LoRAs that these name; of several weights the first counts."""
    found = {name: float(weight) for name, weight in _LORA.findall(prompt)}
    return _LORA.sub("", prompt).strip(), found


def _items(line: str) -> dict[str, Any]:
    items = {key: _unquoted(value.strip()) for key, value in _ITEM.findall(line)}
    params: dict[str, Any] = {}
    texts = {"CFG schedule": "guidance_schedule", "Sampler": "sampler", "Schedule type": "schedule", "Model": "model"}
    numbers = {
        "Steps": ("steps", int),
        "Seed": ("seed", int),
        "CFG scale": ("guidance", float),
        "CFG Rescale": ("guidance_rescale", float),
        "CFG rescale": ("guidance_rescale", float),
        "Skip Early CFG": ("guidance_start", float),
        "CFG end": ("guidance_end", float),
        "Denoising strength": ("strength", float),
    }
    for key, name in texts.items():
        if items.get(key):
            params[name] = items[key]
    if params.get("schedule", "").casefold() == "automatic":
        del params["schedule"]
    for key, (name, number) in numbers.items():
        try:
            params[name] = number(items[key])
        except (KeyError, ValueError):
            continue
    if "Skip layers" in items:
        items.pop("SLG scale", None)  # stable-diffusion.cpp writes the CFG scale there
    for key, name in (("PAG scale", "perturbed_attention"), ("PAG Scale", "perturbed_attention"), ("SLG scale", "skip_layer")):
        if re.fullmatch(r"\d+(\.\d+)?", items.get(key, "")) and float(items[key]) > 0:
            params.setdefault("guidance_extra", {})[name] = float(items[key])
    size = re.fullmatch(r"(\d+)\s*[xX]\s*(\d+)", items.get("Size", ""))
    if size:
        params["width"], params["height"] = int(size[1]), int(size[2])
    if items.get("Tiling", "False") != "False":
        axes = "".join(axis.lower() for axis in "XY" if items.get(f"Tile {axis}", "True") == "True")
        params["tile"] = axes or "none"
    return params


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def parse_comfyui(text: str) -> dict[str, Any]:
    """The parameters for `generate` in ComfyUI's `prompt` graph: those of its first KSampler and what feeds it; raises InvalidRequest."""
    try:
        graph = json.loads(text)
        nodes = {str(name): node for name, node in graph.items() if isinstance(node.get("inputs"), dict)}
    except (ValueError, AttributeError) as fault:
        raise InvalidRequest("The ComfyUI graph in the picture cannot be read.") from fault
    sampling = [node for node in nodes.values() if str(node.get("class_type")).startswith("KSampler")]
    if not sampling:
        raise InvalidRequest("The ComfyUI graph in the picture has no KSampler to read the parameters from.")
    inputs = sampling[0]["inputs"]
    names = {"seed": "seed", "noise_seed": "seed", "steps": "steps", "cfg": "guidance", "sampler_name": "sampler", "scheduler": "schedule"}
    found = {name: inputs[key] for key, name in names.items() if isinstance(inputs.get(key), (int, float, str))}
    for key, name in (("positive", "prompt"), ("negative", "negative")):
        words = _upstream(nodes, inputs.get(key), "text")
        if isinstance(words, str) and words:
            found[name] = words
    for side in ("width", "height"):
        pixels = _upstream(nodes, inputs.get("latent_image"), side)
        if isinstance(pixels, int):
            found[side] = pixels
    return found


def _upstream(nodes: Mapping[str, Any], link: object, key: str) -> object:
    """The value of the input ``key`` of the nearest node up the chain from a link ``[node, slot]`` that has it."""
    seen: set[str] = set()
    pending = [link]
    while pending:
        here = pending.pop(0)
        if not (isinstance(here, list) and len(here) == 2) or str(here[0]) in seen or str(here[0]) not in nodes:
            continue
        seen.add(str(here[0]))
        inputs = nodes[str(here[0])]["inputs"]
        if key in inputs and not isinstance(inputs[key], list):
            return inputs[key]
        pending.extend(inputs.values())
    return None
