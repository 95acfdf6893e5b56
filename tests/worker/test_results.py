"""What leaves the worker can cross the wire, or is refused where it was made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gesso.engine import Progress
from gesso.errors import InvalidRequest, OutOfMemory, PluginError
from gesso.media import Output
from gesso.worker.lease import inputs_of
from gesso.worker.reports import Reporter
from gesso.worker.results import Spec, checked, encoded, error_of

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
    made = encoded(output(pixels=pixels), SPEC, "raw")
    assert made.content == pixels.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    entry = made.entry
    assert (entry["width"], entry["height"], entry["channels"], entry["dtype"]) == (6, 4, channels, np.dtype(dtype).name)


def test_the_recipe_holds_all_of_the_spec() -> None:
    recipe = encoded(output(params={"seed": 9}), SPEC, "png").entry["recipe"]
    assert recipe["params"] == {"seed": 9}
    assert recipe["environment"] == {"device": "cpu"}
    assert (recipe["operation"], recipe["model"], recipe["model_digest"], recipe["level"]) == ("generate", "m", "d", "exact")


@pytest.mark.parametrize("changes", [{"score": float("nan")}, {"score": np.float32(1)}, {"seed": np.int64(1)}, {"params": {"x": object()}}])
def test_what_is_no_json_is_refused_where_it_was_made(changes: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        encoded(output(**changes), SPEC, "raw")


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
