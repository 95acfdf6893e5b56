"""What leaves the worker can cross the wire, or is refused where it was made."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

from gesso.engine import Progress
from gesso.errors import InvalidRequest, OutOfMemory, PluginError
from gesso.manifest import first_party
from gesso.media import Output
from gesso.plugin import CodecSpec, Registry, build_plugins
from gesso.worker.lease import inputs_of
from gesso.worker.reports import Reporter
from gesso.worker.results import Spec, check_form, checked, coding, encoded, error_of

SPEC = Spec("generate", {"width": 640, "height": 512}, {"m": "d"}, "exact", {"device": "cpu"})


def output(**changes: object) -> Output:
    fields: dict[str, object] = {
        "pixels": np.zeros((4, 6, 3), np.uint8),
        "role": "image",
        "index": 0,
        "seed": 1,
        "params": {},
        "model": "m",
    }
    return Output(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "shape", "channels"), [(np.uint8, (4, 6, 3), 3), (np.uint16, (4, 6), 1), (np.uint8, (4, 6, 4), 4)])
def test_raw_planes_are_little_endian_rows(dtype: type, shape: tuple[int, ...], channels: int) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.dtype(dtype).newbyteorder(">"))
    made = encoded(output(pixels=pixels), SPEC, None)
    assert made.content == pixels.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    entry = made.entry
    assert (entry["width"], entry["height"], entry["channels"], entry["dtype"]) == (6, 4, channels, np.dtype(dtype).name)


def test_the_recipe_holds_all_of_the_spec() -> None:
    recipe = encoded(output(params={"seed": 9}), SPEC, None).entry["recipe"]
    assert recipe["params"] == {"seed": 9}
    assert recipe["environment"] == {"device": "cpu"}
    assert (recipe["operation"], recipe["model"], recipe["model_digest"], recipe["level"]) == ("generate", "m", "d", "exact")


@pytest.mark.parametrize("changes", [{"score": float("nan")}, {"score": np.float32(1)}, {"seed": np.int64(1)}, {"params": {"x": object()}}])
def test_what_is_no_json_is_refused_where_it_was_made(changes: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        encoded(output(**changes), SPEC, None)


@pytest.mark.parametrize("outputs", [None, [], "pictures", [1], output()])
def test_an_operation_must_return_pictures(outputs: object) -> None:
    with pytest.raises(PluginError, match="'generate'"):
        checked(outputs, "generate", "imaging")


def test_lack_of_memory_says_what_to_try() -> None:
    wire = error_of(OutOfMemory("There was not enough memory."), SPEC)
    assert wire["details"]["try"] == {"width": 320, "height": 256}
    assert "320 x 256" in wire["hint"]
    assert "try" not in error_of(OutOfMemory("There was not enough memory."), None).get("details", {})


def test_details_that_are_no_json_are_left_out() -> None:
    wire = error_of(InvalidRequest("No.", field="x", details={"what": object()}), SPEC)
    assert json.loads(json.dumps(wire)) == {"code": "invalid", "message": "No.", "field": "x"}


def test_a_spec_survives_the_journal() -> None:
    assert Spec.from_wire(json.loads(json.dumps(SPEC.to_wire()))) == SPEC


def test_inputs_are_found_at_any_depth() -> None:
    params = {"image": {"sha256": "a"}, "masks": [{"sha256": "b"}, {"of": {"sha256": "c"}}], "sha": "d", "n": 1, "sha256": "e"}
    assert sorted(inputs_of(params)) == ["a", "b", "c", "e"]


def test_progress_is_coalesced_and_the_last_is_always_told() -> None:
    reporter = Reporter(2)
    reporter.progress(Progress(0, 1, 10, 5.0, 0.1), 1.0)
    first = reporter.due_progress(1.0)
    assert first is not None
    assert (first["images"], first["step"], first["fraction"], first["rate"]) == (2, 1, 0.05, None)
    for step in range(2, 10):
        reporter.progress(Progress(0, step, 10, 1.0, step / 10), 1.0 + step / 1000)
    assert reporter.due_progress(1.01) is None
    last = reporter.due_progress(1.01, last=True)
    assert last is not None
    assert last["step"] == 9
    assert last["rate"] == 888.889
    assert reporter.due_progress(9.0) is None


def registry_with(function: Any, **more: Any) -> Registry:
    registry = build_plugins(first_party())
    spec = CodecSpec("house", function, "House", "image/x-house", "hou", **more)
    registry.codecs.add("house", spec, "mine")
    return registry


def test_the_codec_that_was_named_writes_and_its_name_goes_with_the_file() -> None:
    registry = registry_with(lambda ctx: bytes(ctx.pixels.shape) + ctx.role.encode() + ctx.texts["gesso"].encode()[:1])
    how = coding(registry, output(), "house")
    made = encoded(output(), SPEC, how)
    assert made.content == bytes((4, 6, 3)) + b"image{"
    assert (made.entry["media_type"], made.entry["ending"]) == ("image/x-house", "hou")
    assert how is not None
    assert how.warning == ""


def test_samples_that_a_codec_cannot_hold_stay_what_they_are_and_it_is_said() -> None:
    registry = registry_with(lambda ctx: b"never")
    height = output(pixels=np.zeros((4, 6), np.uint16), role="height")
    how = coding(registry, height, "house")
    assert how is not None
    assert (how.spec.name, how.plugin) == ("png", "codecs")
    assert how.warning == "The height has samples of the type uint16, which House cannot hold: it is written as PNG."
    assert encoded(height, SPEC, how).entry["ending"] == "png"
    assert coding(registry, height, "raw") is None
    document = output(pixels=np.zeros((4, 6, 3), np.float32), kind="exr")
    usual = coding(registry, document, "png")
    assert usual is not None
    assert (usual.spec.name, usual.warning) == ("exr", "")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda ctx: 1 / 0, "failed with ZeroDivisionError: division by zero"),
        (lambda ctx: sys.exit(3), "failed with SystemExit: 3"),
        (lambda ctx: "text", "returned str where the bytes of a file were expected"),
        (lambda ctx: b"", "returned bytes where"),
    ],
)
def test_a_codec_that_fails_is_named(function: Any, words: str) -> None:
    with pytest.raises(PluginError, match=f"The codec 'house' of the plugin 'mine' {words}"):
        encoded(output(), SPEC, coding(registry_with(function), output(), "house"))


def test_a_codec_that_is_gone_is_refused_before_the_work() -> None:
    check_form(registry_with(len), "raw")
    with pytest.raises(InvalidRequest, match=r"There is no codec called 'hoouse'\. Did you mean house"):
        check_form(registry_with(len), "hoouse")
