"""Recipes: ours survive exactly, the peers' texts are read as far as they go, and reading needs nothing but the standard library."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gesso.errors import InvalidRequest
from gesso.recipe import Recipe, infotext, parse_comfyui, parse_infotext, read_params, read_recipe, read_texts

PARAMS: dict[str, Any] = {
    "prompt": "mossy grey cobblestone",
    "negative": "blurry, low quality",
    "steps": 20,
    "sampler": "dpmpp_2m",
    "schedule": "karras",
    "guidance": 5.0,
    "seed": 7,
    "width": 256,
    "height": 192,
    "tile": "xy",
    "model": "starter",
    "count": 1,
}
RECIPE = Recipe("generate", PARAMS, "starter", "0123456789abcdef" * 4, "0.1.0", labels={"sampler": "DPM++ 2M", "schedule": "Karras"})


def file(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def test_the_text_is_what_the_peers_write() -> None:
    assert infotext(RECIPE) == (
        "mossy grey cobblestone\n"
        "Negative prompt: blurry, low quality\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5, Seed: 7, Size: 256x192, "
        "Model hash: 0123456789, Model: starter, Tiling: True, Version: gesso 0.1.0"
    )


def test_loras_are_named_with_their_weights_and_hashes_and_read_back() -> None:
    params = {**PARAMS, "lora": {"add_detail": 0.75, "old paper": -1.0}}
    text = infotext(replace(RECIPE, params=params, hashes={"add_detail": "7c6bad76eb54", "old paper": "0123456789ab"}))
    assert text.startswith("mossy grey cobblestone <lora:add_detail:0.75> <lora:old paper:-1>\n")
    assert 'Lora hashes: "add_detail: 7c6bad76eb54, old paper: 0123456789ab"' in text
    read = parse_infotext(text)
    assert (read["prompt"], read["lora"]) == (PARAMS["prompt"], params["lora"])
    assert parse_infotext("a <lora:x:0.5:0.7> cat\nSteps: 3, Seed: 1, CFG scale: 2")["lora"] == {"x": 0.5}


def test_a_peer_splits_it_into_the_same_items() -> None:
    # AUTOMATIC1111, modules/infotext_utils.py: re_param_code, and at least three items make it the last line
    items = dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', infotext(RECIPE).split("\n")[-1]))
    assert items["Sampler"] == "DPM++ 2M"
    assert items["Schedule type"] == "Karras"
    assert items["Size"] == "256x192"
    rendered = Recipe("generate", {"prompt": "x", "seed": 1, "width": 64, "height": 64}, "procedural", "ab" * 32, "0.1.0")
    assert len(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', infotext(rendered).split("\n")[-1])) >= 3


@pytest.mark.parametrize("tile", ["none", "x", "y", "xy"])
def test_our_own_text_is_read_back(tile: str) -> None:
    recipe = Recipe("generate", {**PARAMS, "tile": tile, "strength": 0.35}, "a: b, c", "ab" * 32, "0.1.0", labels=RECIPE.labels)
    found = parse_infotext(infotext(recipe))
    wanted = {**PARAMS, "tile": tile, "strength": 0.35, "sampler": "DPM++ 2M", "schedule": "Karras", "model": "a: b, c"}
    del wanted["count"]
    if tile == "none":
        del wanted["tile"]
    assert found == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("just a prompt", {"prompt": "just a prompt"}),
        ("one\ntwo\nNegative prompt: three\nfour", {"prompt": "one\ntwo", "negative": "three\nfour"}),
        (
            "a (cat:1.2)\nSteps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, Model: v1-5, Clip skip: 2",
            {
                "prompt": "a (cat:1.2)",
                "steps": 28,
                "sampler": "DPM++ 2M Karras",
                "guidance": 7.5,
                "seed": 42,
                "width": 512,
                "height": 768,
                "model": "v1-5",
            },
        ),
        (
            'p\nSteps: 4, Sampler: Euler a, Schedule type: Automatic, CFG scale: many, Seed: 1, Lora hashes: "a: b, c: d", Version: f2.0',
            {"prompt": "p", "steps": 4, "sampler": "Euler a", "seed": 1},
        ),
        ("", {"prompt": ""}),
        (  # SD.Next
            "p\nSteps: 4, Seed: 1, CFG scale: 6, CFG rescale: 0.7, CFG end: 0.8, PAG scale: 2.5, App: SD.Next",
            {
                "prompt": "p",
                "steps": 4,
                "seed": 1,
                "guidance": 6,
                "guidance_rescale": 0.7,
                "guidance_end": 0.8,
                "guidance_extra": {"perturbed_attention": 2.5},
            },
        ),
        (  # AUTOMATIC1111 with the extensions CFG_Rescale_webui and incantations
            "p\nSteps: 4, Seed: 1, CFG Rescale: 0.7, Skip Early CFG: 0.25, PAG Active: True, PAG Scale: 2",
            {
                "prompt": "p",
                "steps": 4,
                "seed": 1,
                "guidance_rescale": 0.7,
                "guidance_start": 0.25,
                "guidance_extra": {"perturbed_attention": 2},
            },
        ),
        (  # stable-diffusion.cpp, which writes the CFG scale as the SLG scale
            "p\nSteps: 4, CFG scale: 4.5, SLG scale: 4.5, Skip layers: [7, 8, 9, ], Skip layer start: 0.01, Guidance: 3.5, Seed: 1",
            {"prompt": "p", "steps": 4, "seed": 1, "guidance": 4.5},
        ),
    ],
)
def test_the_peers_texts_are_read(text: str, wanted: dict[str, Any]) -> None:
    assert parse_infotext(text) == wanted


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert isinstance(parse_infotext(text)["prompt"], str)


def test_a_long_line_of_words_is_cheap() -> None:
    text = "p\n" + "word " * 40_000
    started = time.process_time()
    assert parse_infotext(text)["prompt"].startswith("p\n")
    assert time.process_time() - started < 20  # quadratic, it would be hours


def graph(**changes: Any) -> str:
    nodes = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 5,
                "steps": 12,
                "cfg": 6.5,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
                "model": ["4", 0],
            },
        },
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 320, "batch_size": 1}},
        "6": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["8", 0]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blur", "clip": ["4", 1]}},
        "8": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["4", 1]}},
        **changes,
    }
    return json.dumps(nodes)


def test_a_comfyui_graph_is_read_from_its_sampler() -> None:
    assert parse_comfyui(graph()) == {
        "seed": 5,
        "steps": 12,
        "guidance": 6.5,
        "sampler": "dpmpp_2m",
        "schedule": "karras",
        "prompt": "a castle",
        "negative": "blur",
        "width": 512,
        "height": 320,
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"1": 2}', graph(**{"3": {"class_type": "Other", "inputs": {}}})])
def test_other_graphs_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="ComfyUI"):
        parse_comfyui(text)


def test_a_graph_in_a_circle_ends() -> None:
    circle = {"6": {"class_type": "A", "inputs": {"in": ["8", 0]}}, "8": {"class_type": "B", "inputs": {"in": ["6", 0]}}}
    assert "prompt" not in parse_comfyui(graph(**circle))


def test_our_recipe_wins_over_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(file(parameters="another", gesso=RECIPE.dumps(), prompt=graph()))
    assert read_params(path) == PARAMS
    assert read_params(file(parameters="another", prompt=graph())) == {"prompt": "another"}
    assert read_params(file(prompt=graph()))["prompt"] == "a castle"
    with pytest.raises(InvalidRequest, match="no recipe"):
        read_params(file(title="x"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "valid JSON"),
        ("[]", "another version"),
        ('{"schema": 99}', "another version"),
        ('{"schema": 1, "operation": "generate", "params": [], "model": "m", "model_digest": "", "version": "1"}', "`params`"),
    ],
)
def test_a_broken_recipe_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_recipe(file(gesso=text))


def test_a_later_recipe_with_more_fields_is_read() -> None:
    assert Recipe.loads(RECIPE.dumps()[:-1] + ',"new":1}') == RECIPE


def test_the_recipe_is_one_line_of_ascii_without_time_or_id() -> None:
    text = RECIPE.dumps()
    assert text.isascii()
    assert "\n" not in text
    assert set(json.loads(text)) == {
        "schema",
        "operation",
        "params",
        "model",
        "model_digest",
        "version",
        "level",
        "role",
        "hashes",
        "labels",
        "environment",
    }


def test_files_that_carry_no_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_texts(tmp_path / "none.png")
    for data in (b"", b"\xff\xd8\xff", b"\x89PN"):
        with pytest.raises(InvalidRequest, match="neither a PNG nor a WebP"):
            read_texts(data)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (chunk(b"zTXt", b"parameters\0\0" + zlib.compress("grün".encode("latin-1"))), {"parameters": "grün"}),
        (chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress("苔".encode())), {"parameters": "苔"}),
        (chunk(b"iTXt", b"parameters\0\0\0en\0key\0" + "苔".encode()), {"parameters": "苔"}),
        (chunk(b"tEXt", b"a\0one") + chunk(b"tEXt", b"a\0two"), {"a": "one"}),
        (chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(50_000_000))), {}),
        (chunk(b"zTXt", b"broken\0\0not deflate"), {}),
        (chunk(b"iTXt", b"short\0\0"), {}),
        (chunk(b"tEXt", b"a\0one") + b"\xff\xff\xff\xfftEXt", {"a": "one"}),
        (chunk(b"tEXt", b"a\0one")[:-5], {}),
    ],
)
def test_every_kind_of_text_chunk_is_read_and_bad_ones_are_left_out(body: bytes, wanted: dict[str, str]) -> None:
    assert read_texts(SIGNATURE + body) == wanted


def test_reading_needs_only_the_standard_library() -> None:
    code = "import sys, gesso.recipe; bad = {'numpy', 'torch', 'PIL'} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True)
