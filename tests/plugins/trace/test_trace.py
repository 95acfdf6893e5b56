"""`trace`: edges where a picture has them and nowhere else, lines by how they stand out, depth from the network of maps."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from gesso.errors import InvalidRequest
from gesso_plugins.trace import lines


def disc(side: int = 96, radius: int = 30) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return np.where(np.hypot(x, y) < radius, np.float32(0.2), np.float32(0.8))


def traced(studio: Any, **asked: Any) -> np.ndarray[Any, Any]:
    file = io.BytesIO()
    Image.fromarray((disc() * 255).astype(np.uint8)).save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    made = studio.make("trace", {"image": {"sha256": name}, **asked}, {name: file.getvalue()}).outputs
    assert len(made) == 1
    pixels: np.ndarray[Any, Any] = made[0].pixels[..., 0]
    return pixels


def test_canny_draws_one_thin_closed_line_around_a_disc() -> None:
    edge = lines.canny(disc(), 1.4, 0.1, 0.25) > 0
    y, x = np.nonzero(edge)
    assert np.abs(np.hypot(x - 47.5, y - 47.5) - 30).max() < 2
    assert ndimage.label(edge, np.ones((3, 3)))[1] == 1
    assert ndimage.label(~edge)[1] == 2, "inside and outside do not meet"
    assert edge.sum() < 2 * np.pi * 30 * 1.2


def test_weak_edges_stay_only_where_they_join_strong_ones() -> None:
    plane = np.zeros((64, 64), np.float32)
    plane[:, 32:] = np.linspace(0.15, 1.0, 64, dtype=np.float32)[:, None]
    alone = np.zeros_like(plane)
    alone[20:44, 8:20] = 0.15
    found = lines.canny(plane + alone, 1.0, 0.1, 0.5) > 0
    assert found[2:62, 30:34].any(1).all(), "it fades, but hangs together"
    assert not found[:, :26].any()


def test_nothing_is_drawn_of_nothing() -> None:
    flat = np.full((32, 32), 0.4, np.float32)
    for drawn in (lines.canny(flat, 1, 0.1, 0.2), lines.lineart(flat, 1), lines.scribble(flat, 1, 0.1, 0.2)):
        assert not drawn.any()


def test_line_art_is_white_where_the_picture_is_darker_than_around() -> None:
    plane = np.full((64, 64), 0.8, np.float32)
    plane[:, 30:33] = 0.1
    drawn = lines.lineart(plane, 1.0)
    assert drawn[32, 31] > 0.9
    assert drawn[32, 10] == 0
    faint = lines.lineart(np.where(plane < 0.5, np.float32(0.7), plane), 1.0)
    assert 0 < faint[32, 31] < drawn[32, 31]


def test_each_kind_is_a_grey_picture_of_the_same_size(studio: Any) -> None:
    canny, lineart, scribble = (traced(studio, kind=kind) for kind in ("canny", "lineart", "scribble"))
    assert {plane.shape for plane in (canny, lineart, scribble)} == {(96, 96)}
    assert set(np.unique(canny)) == set(np.unique(scribble)) == {0, 255}
    assert (scribble > 0).sum() > 1.5 * (canny > 0).sum()
    assert len(np.unique(lineart)) > 4
    assert not np.array_equal(canny, traced(studio, detail=6.0))


def test_depth_is_the_height_that_the_maps_have(studio: Any) -> None:
    depth = traced(studio, kind="depth")
    assert depth.dtype == np.uint16
    assert depth.shape == (96, 96)
    assert len(np.unique(depth)) > 50


def test_thresholds_in_the_wrong_order_are_refused(studio: Any) -> None:
    with pytest.raises(InvalidRequest, match="above the high one") as fault:
        traced(studio, low=0.5, high=0.2)
    assert fault.value.field == "low"
