"""The bridge in a real Blender: with a window under Xvfb and without one, against a real daemon.

Each test ends by what the daemon received, what Blender holds, and the verdict that the script in Blender left (`inside/`). Each says
which line's removal makes it fail.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gesso import __version__
from gesso.cli import main
from gesso.client import Client
from gesso.wire import discovery
from gesso.wire.home import Home

from .conftest import PICTURES, Blender

pytestmark = [pytest.mark.blender, pytest.mark.timeout(700)]


def received(client: Client, operation: str) -> list[dict[str, Any]]:
    """What the daemon was asked for, the oldest first."""
    jobs = [client.job(found["job"]) for found in reversed(client.jobs())]
    return [job for job in jobs if job["operation"] == operation]


def test_the_runner_notices_a_wrong_claim(blender: Blender) -> None:
    """The negative control: without the `raise` of an assertion in `drive.Drive.guarded` everything below would pass."""
    process = blender.start("failing")
    with pytest.raises(AssertionError, match="Sphere"):
        blender.finish("failing", process)
    assert process.returncode == 2


def test_scripted_textures_become_materials_that_render_as_the_tile(blender: Blender, client: Client) -> None:
    """Fails without `image.colorspace_settings.name = ...` in `images.from_file`, or without the link to Base Color in `material.build`;
    and without `installed.remove` in `gesso bridge uninstall`, for Blender is as it was at the end.
    """
    verdict = blender.run("scripted")
    (texture, *others) = received(client, "texture")
    params = texture["params"]
    assert [(job["params"]["prompt"], job["state"]) for job in others] == [(prompt, "done") for prompt in verdict["batch"]]
    photograph(blender, "batch.png")
    assert (params["prompt"], params["seed"], params["width"], texture["state"]) == ("red brick wall", 11, 128, "done")
    assert (texture["level"], texture["priority"]) == ("fast", "interactive")
    assert "model" not in params or params["model"] is None
    (upscale,) = received(client, "upscale")
    assert (upscale["params"]["scale"], upscale["state"]) == (2, "done")
    assert verdict["worst"] <= 2.5 / 255
    addons = blender.folder / "scripts/addons"
    assert list(addons.rglob("*.pyc"))  # Blender has used it
    assert main(["bridge", "uninstall", "blender"]) == 0
    assert not addons.exists() or list(addons.iterdir()) == []


def photograph(blender: Blender, name: str) -> NDArray[np.uint8]:
    """A photograph of the screen, which shows something."""
    with Image.open(blender.folder / name) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.std() > 10, f"{name} is empty"
    return pixels


@pytest.fixture
def by_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where there is a token."""
    monkeypatch.setenv("GESSO_TRANSPORT", "tcp")


def test_the_panel_is_drawn_jobs_run_and_are_cancelled_and_survive_a_file(by_tcp: None, blender: Blender, client: Client) -> None:
    """Fails without `push_undo` in `results.apply`, `now.session.cancel` in `operators.Watch`, or `runtime.current().loads += 1`; what is
    reached by keyboard without `append(panels.in_view_menu)` in `registration.register`.
    """
    shows_text = blender.folder / "bin/xdg-open"
    shows_text.parent.mkdir()
    shows_text.write_text(f'#!/bin/sh\necho "$1" >"{blender.folder}/opened"\n')
    shows_text.chmod(0o755)
    verdict = blender.run("window", window=True, PATH=f"{shows_text.parent}:{os.environ['PATH']}")
    for name in ("first-run.png", "panel.png", "choose.png", "progress-esc.png", "search.png", "scale.png"):
        photograph(blender, name)
    sidebar = np.s_[600:1000, 1120:1280]
    assert photograph(blender, "light.png")[sidebar].mean() > 2 * photograph(blender, "choose.png")[sidebar].mean()
    told_by_the_report(verdict["report"], client)
    assert verdict["opened"].strip() == str(Home.find().daemon_log)
    assert "no program xdg-open" in verdict["unopened"]
    assert str(Home.find().daemon_log) in verdict["unopened"]
    textures = received(client, "texture")
    assert [(job["params"]["prompt"], job["params"].get("count", 1), job["state"]) for job in textures] == [
        ("red brick wall", 1, "done"),
        ("oak planks", 3, "done"),
        ("slate", 1, "done"),
        ("gravel", 1, "done"),
    ]
    assert textures[0]["params"]["seed"] == 21
    generated = received(client, "generate")
    assert [(job["job"], job["state"]) for job in generated] == [(job, "cancelled") for _, job in verdict["cancelled"]]
    assert [way for way, _ in verdict["cancelled"]] == ["esc", "button", "file"]


def told_by_the_report(report: str, client: Client) -> None:
    """Versions of both ends and of Blender, the last error, the end of the log; neither prompt nor token."""
    assert f"Gesso bridge {__version__} (Blender 3." in report
    assert f"daemon: version {client.welcome['version']}," in report
    assert "last error: " in report
    assert str(Home.find().daemon_log) in report
    for prompt in ("red brick wall", "oak planks", "slate", "a word to keep"):
        assert prompt not in report
    info = discovery.read(Home.find())
    assert info is not None
    assert info.token
    assert info.token not in report


def test_a_projection_agrees_with_rays_where_one_object_hides_another(blender: Blender, client: Client) -> None:
    """Fails without `seen = graph.math("MULTIPLY", seen, inside)` in `shading.projected`: the floor behind the cube would be painted."""
    verdict = blender.run("projected")
    (generate,) = received(client, "generate")
    params = generate["params"]
    assert (params["prompt"], params["width"], params["height"], params["seed"], generate["state"]) == ("red brick", 128, 128, 4, "done")
    assert verdict["hidden"] > 100
    assert verdict["p99"] < 4 / 255


@pytest.fixture
def tiny(home: Path, tmp_path: Path) -> None:
    """Models small enough to be made here, with weights at random: one that samples, and a ControlNet for it."""
    from tests.plugins.conftest import build_pipeline
    from tests.plugins.diffusion.test_controlnet import build_controlnet

    base = build_pipeline(tmp_path / "models/base")
    net = build_controlnet(base, tmp_path / "models/net")
    for name, path in (("tiny", base), ("tiny-depth", net), ("tiny-normal", net)):
        assert main(["models", "add", str(path), "--name", name]) == 0


def picture_of(client: Client, blob: dict[str, str]) -> NDArray[np.float32]:
    with Image.open(io.BytesIO(client.download(blob["sha256"]))) as picture:
        return np.asarray(picture.convert("RGB"), np.float32) / 255


def test_a_projection_starts_from_what_is_there_or_is_steered_by_depth(blender: Blender, tiny: None, client: Client) -> None:
    """Fails without `params["image"] = ...` or `params["control"] = ...` in `projection.Project`, `_shine(tree, node)` in `albedo`, or
    `view_transform = "Raw"` or `shown.pass_index = number` in `looking._scene`.
    """
    verdict = blender.run("steered")
    begun, again, steered, turned = (job["params"] for job in received(client, "generate"))
    assert [params.get("control", {}) for params in (begun, again)] == [{}, {}]
    blue = np.array([0.349, 0.484, 0.954], np.float32)  # (0.1, 0.2, 0.9) of light, in sRGB
    first = picture_of(client, begun["image"])
    assert first.shape == (64, 64, 3)
    middle = first[8:-8, 8:-8].reshape(-1, 3)
    assert np.abs(np.median(middle, axis=0) - blue).max() < 0.004
    assert np.abs(picture_of(client, again["image"]) - first).mean() > 0.004  # it shows what was projected meanwhile
    assert steered.get("image") is None
    depth = picture_of(client, steered["control"]["tiny-depth"])
    assert depth.shape == (64, 64, 3)
    assert depth[24:40, 24:40].max() > depth[4:-4, 4:-4].min() + 0.2  # the cube is nearer than the floor
    normals = 2 * picture_of(client, turned["control"]["tiny-normal"]).reshape(-1, 3) - 1
    covered = normals.max(axis=1) > -1
    assert np.abs(np.linalg.norm(normals[covered], axis=1) - 1).max() < 0.02
    assert (np.abs(normals - verdict["up"]).max(axis=1) < 0.01).mean() > 0.2  # the floor, and what the cube shows upwards
    with Image.open(blender.folder / "objects.png") as picture:
        shown = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(shown) == 3, "nothing, the floor, the cube"
    assert np.abs(np.diff(shown.astype(int), axis=0)).max(axis=1).min() > 100
    colours = np.array(verdict["colours"])
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() > 0.001, "each projection changed what the floor shows"


def test_frames_of_an_animation_are_stylised_from_the_same_noise(blender: Blender, client: Client, tmp_path: Path) -> None:
    """Fails without `params.setdefault("seed", 0)` in `rendering.Stylise`, or with one frame's picture for all."""
    folder = tmp_path / "frames"
    blender.run("framed", FRAMES=str(folder))
    blender.run("animated", window=True, FRAMES=str(folder))
    photograph(blender, "frames-panel.png")
    jobs = received(client, "generate")
    assert [(job["params"]["seed"], job["params"]["strength"], job["state"]) for job in jobs] == [(0, 0.25, "done")] * 4
    paths = sorted(folder.glob("*.png"))
    before, after = ([pixels(path) for path in names] for names in (paths, [folder / "gesso" / path.name for path in paths]))
    assert len(before) == 4
    given = [picture_of(client, job["params"]["image"]) * 255 for job in jobs]
    assert all(min(np.abs(one - frame).max() for one in given) < 0.5 for frame in before)
    assert np.abs(before[0] - before[1]).max() == 0
    assert np.abs(after[0] - after[1]).max() <= 2  # what stands still does not flicker; forwards that are shared round differently
    turned = [np.abs(frames[2] - frames[3]).mean() for frames in (before, after)]
    assert min(turned) > 1
    sheet = Image.fromarray(np.vstack([np.hstack(row) for row in (before, after)]).astype(np.uint8))
    sheet.save(Path(PICTURES or blender.folder) / "frames.png")


def pixels(path: Path) -> NDArray[np.float32]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.float32)


def test_masks_views_renders_undo_and_a_killed_daemon(blender: Blender, client: Client) -> None:
    """Fails without `old.user_remap(new)` in `images.replace`, `session.suspend()` in `rendering._begins`, `process.kill` in `aside._end`,
    `image.is_dirty` in `aside.Workplace.lay_out`, `layer.data.foreach_set` in `texture._unwrapped`, or `env=ours` in `aside._started`.
    """
    blender.run("worked", window=True)
    assert list(blender.scratch.glob("gesso-*")) == []
    assert len(list(blender.scratch.glob("blender_*"))) == 1, "that of the first Blender, which `drive` ends at once, and none of a second"
    for name in ("mask.png", "masked.png", "projected.png", "unknown.png"):
        photograph(blender, name)
    with Client(start=False) as again:  # the daemon that was started in the place of the killed one
        (edit,) = received(again, "edit")
        assert (edit["params"]["prompt"], edit["params"]["steps"], edit["state"]) == ("moss", 8, "done")
        with Image.open(io.BytesIO(again.download(edit["params"]["mask"]["sha256"]))) as mask:
            assert np.asarray(mask.convert("L")).sum() == 255 * 128 * 128
        generated = received(again, "generate")
        assert [job["params"]["prompt"] for job in generated] == ["slate", "slate", "moss", "moss", "moss", "moss"]
        assert {job["state"] for job in generated} == {"done"}
        assert generated[4]["params"]["image"]["sha256"]
        assert generated[5]["params"]["steps"] == 60
        again.stop()


def test_the_open_picture_is_changed_extended_enlarged_and_mended(blender: Blender, client: Client) -> None:
    """Fails without `chosen = context_image(context)` in `operators.gathered`, or `"maps": False` in `painting.MakeSeamless`; in newer
    Blenders without `space.image = image` in `editors._after`.
    """
    blender.run("editing", window=True)
    for name in ("mask", "inpaint", "outpaint", "upscale", "seamless"):
        photograph(blender, f"editor-{name}.png")
    inpaint, outpaint = (job["params"] for job in received(client, "edit"))
    assert inpaint["mask"]["sha256"]
    assert inpaint["prompt"] == "moss"
    assert (outpaint["left"], outpaint["top"], outpaint.get("mask")) == (32, 16, None)
    (upscaled,) = received(client, "upscale")
    (repaired,) = received(client, "texture")
    assert upscaled["params"]["image"] == outpaint["image"] == repaired["params"]["image"]
    assert (repaired["params"]["maps"], repaired["state"]) == (False, "done")


def test_the_first_run_is_clicked_through(blender: Blender, home: Path) -> None:
    """Fails without `box.operator("gesso.fix", ...)` in `panels.draw_state`, or without `name == "example"` in `operators.Fix`."""
    verdict = blender.run("first", window=True)
    for name in ("stopped", "connected", "done"):
        photograph(blender, f"first-{name}.png")
    with Client(start=False) as client:
        (example,) = received(client, "texture")
        assert (example["params"]["prompt"], example["state"]) == ("mossy grey cobblestone", "done")
        assert made_as(client, example["job"], verdict["colour"])
        client.stop()


def test_jobs_of_a_blender_that_was_killed_are_taken_up_by_the_next(blender: Blender, client: Client, home: Path, tmp_path: Path) -> None:
    """Fails without `self.unfinished.keep` in `Runtime.tick`, or without `inherit` in `Runtime.connect_first`."""
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(frames / "0001.png")
    client.suspend()
    process = blender.start("closed", window=True, FRAMES=str(frames))
    said = process.communicate(timeout=300)[0]
    assert not (blender.folder / "closed.json").exists(), said
    (kept,) = (home / "state/bridges").glob("blender-jobs-*.json")
    jobs = json.loads(kept.read_text())
    assert [entry["operation"] for entry in jobs.values()] == ["texture", "generate", "generate"]
    client.resume()
    verdict = blender.run("reopened", window=True, FRAMES=str(frames))
    assert [client.job(job)["state"] for job in jobs] == ["done"] * 3
    assert list((home / "state/bridges").glob("blender-jobs-*.json")) == []
    with Image.open(frames / "gesso/0001.png") as frame:
        assert frame.size == (64, 64)
        assert np.abs(np.asarray(frame.convert("RGB"), np.float32) - (200, 30, 30)).mean() > 2, "the frame as it was"
    texture, projection, _ = jobs
    assert made_as(client, texture, verdict["colour"])
    assert not made_as(client, texture, verdict["painted"]), "the projection came last"
    assert client.job(projection)["params"]["prompt"] == "red brick"
    photograph(blender, "reopened.png")


def test_a_second_blender_whose_first_was_killed_ends_and_leaves_nothing(blender: Blender, client: Client) -> None:
    """Fails without the thread of `aside._watch`: it would bake to its end, and leave the files behind."""
    said = blender.start("forsaken", window=True).communicate(timeout=600)[0]
    assert (blender.folder / "second.json").exists(), said
    process, folder, was_there = json.loads((blender.folder / "second.json").read_text())
    assert was_there
    deadline = time.monotonic() + 60
    while (Path(folder).exists() or discovery.is_alive(process)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(folder).exists()
    assert not discovery.is_alive(process)


def test_two_blenders_share_one_daemon(blender: Blender, client: Client, tmp_path: Path) -> None:
    """Fails without `asset.remember` in `results._materials`: each material carries the seed that its own Blender asked for."""
    other = Blender(tmp_path / "other")
    shutil.copytree(blender.folder, other.folder)
    processes = [(one, one.start("paired", SEED=seed)) for one, seed in ((blender, "100"), (other, "200"))]
    verdicts = [one.finish("paired", process) for one, process in processes]
    assert [verdict["made"] for verdict in verdicts] == [[100, 101, 102], [200, 201, 202]]
    textures = received(client, "texture")
    assert sorted(job["params"]["seed"] for job in textures) == [100, 101, 102, 200, 201, 202]
    assert {job["state"] for job in textures} == {"done"}
    colours = {seed: colour for verdict in verdicts for seed, colour in zip(verdict["made"], verdict["colours"], strict=True)}
    assert all(made_as(client, job["job"], colours[job["params"]["seed"]]) for job in textures)


def made_as(client: Client, job: str, colour: list[float]) -> bool:
    """Whether what Blender holds has the mean colour of a job's first picture."""
    with Image.open(io.BytesIO(client.attach(job).result(60).images[0].read())) as picture:
        wanted = np.asarray(picture.convert("RGB"), np.float64).mean((0, 1)) / 255
    return bool(np.abs(wanted - colour).max() < 0.002)


def test_a_preview_is_seen_on_the_object_and_leaves_nothing(blender: Blender, client: Client) -> None:
    """Fails without `shown.batch.draw(shader)` in `overlay._draw_one`, or without `redraw(views=...)` in `Runtime.tick`."""
    blender.run("previewed", window=True)
    asked = [
        (job["params"]["prompt"], job["params"]["seed"], job["state"]) for kind in ("texture", "generate") for job in received(client, kind)
    ]
    assert asked == [("mossy stone", 5, "cancelled")] * 2 + [("mossy stone", 6, "cancelled")]
    before, after = photograph(blender, "preview-before.png"), photograph(blender, "preview-after.png")
    cube = np.s_[560:600, 680:720]
    assert np.abs(before[cube].astype(int) - after[cube]).max() < 8
    for name in ("preview-uv.png", "preview-box.png", "preview-view.png"):
        shown = photograph(blender, name)
        assert np.abs(shown[cube].astype(int) - before[cube]).mean() > 8, f"{name} shows the object as it was"
