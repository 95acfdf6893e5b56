"""In a real Krita: what can be done to a picture, each once; control layers and regions of an edit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.client import Client

from .conftest import LIMIT

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]
MODES = ["Fill", "Refine", "Expand", "Add", "Remove", "Replace background", "Vary", "Style", "Upscale", "Seamless tile", "Instruct"]


def test_every_mode_control_layers_and_regions(krita: Any, tiny: Path, gesso: Path, tmp_path: Path, keep_pictures: Any) -> None:
    """Fails without: `**mode.values` in `Docker._draw_form` (every mode would be Fill), `_listed` in `orders._plain` (a style would not be
    sent), `_guided` in `orders._region` (layers would not steer an edit), `self.place.toggle(layer)` of `Docker._moved` (traced lines would
    be seen), `self.regions.write` in `Docker.reuse` (its regions would be lost), `LayerList._chosen` (another
    document's layers would take the place of those that were chosen)."""
    verdict = krita("guiding")
    keep_pictures(tmp_path)
    facts = verdict.check()
    assert facts["modes"][: len(MODES)] == MODES
    assert {"Generate", "Texture"} <= set(facts["modes"])
    with Client(home=gesso, start=False) as client:
        check_modes(client, facts)
        check_controls(client, facts)
        check_traced(client, facts)
        check_regions(client, facts)


def sent(client: Client, sha256: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(client.download(sha256))))


def check_modes(client: Client, facts: dict[str, Any]) -> None:
    used = facts["used"]
    assert {name: entry[0] for name, entry in used.items()} == dict.fromkeys(used, "done"), used
    jobs = {name: client.job(entry[1])["params"] for name, entry in used.items()}
    assert facts["below"]
    assert set(facts["undone"]) >= set(used) - {"upscale"}
    assert facts["undone"] == {name: [True, True, True] for name in facts["undone"]}
    assert (jobs["edit:inpaint"]["strength"], jobs["edit:refine"]["strength"], jobs["edit:add"]["strength"]) == (1.0, 0.4, 0.85)
    assert (jobs["edit:refine"]["style_preset"], jobs["edit:add"]["sampler"]) == ("ink", "heun")
    assert (jobs["edit:remove"]["grow"], jobs["edit:remove"]["padding"]) == (12, 1.0)
    assert jobs["edit:outpaint"]["right"] == 22
    assert facts["background"] == ["edit:background", True], "used again, it leaves alone what is selected"
    assert [row.partition(":")[0] for row in facts["rows"]] == ["Fill", "Refine", "Expand", "Add", "Remove", "Replace background", "Vary",
        "Done, applied", "Upscale", "Done, applied", "Instruct"]  # fmt: skip
    mask = sent(client, jobs["edit:background"]["mask"]["sha256"])
    assert (mask[40, 50], mask[2, 2]) == (0, 255)
    assert {client.job(used[name][1])["operation"] for name in used if name.startswith("edit:")} == {"edit"}
    assert client.job(used["texture:tile"][1])["operation"] == "texture"
    assert jobs["texture:tile"]["maps"] is False
    assert "larger" in used["upscale"][4]


def check_controls(client: Client, facts: dict[str, Any]) -> None:
    assert facts["failed"] == []
    assert facts["control_nets"] == ["edges (ControlNet)", "others (ControlNet)"]
    assert facts["unfit"][0] == "failed"
    assert "'others' was made for another base (sd1)" in facts["unfit"][1]
    assert {"What is seen", "dark", "bright"} <= set(facts["control_layers"])
    assert facts["apart_without"] <= 1
    assert facts["apart_with"] > 10
    job = client.job(facts["control_jobs"]["dark 0.0"])["params"]
    assert job["control_strength"] == {"edges": 0.0}
    assert (sent(client, job["control"]["edges"]["sha256"]) == (0x30, 0x20, 0x10)).all()
    assert facts["hidden_for_upscale"]


def check_traced(client: Client, facts: dict[str, Any]) -> None:
    assert facts["kinds"] == ["Canny", "Lineart", "Scribble", "Depth"]
    for kind, (job, name, chosen, hidden, brightest, edge, alphas) in facts["traced"].items():
        assert client.job(job)["params"]["kind"] == kind.lower()
        assert (name, chosen, hidden, alphas) == (f"Gesso: {kind.lower()}", True, True, 1)
        assert brightest > 50 or kind == "Depth"
        assert edge >= 255 or kind != "Canny", "the block's left edge"
    job, state, error = facts["steered"]
    assert state == "done", error
    params = client.job(job)["params"]
    seen, control = (sent(client, found["sha256"]) for found in (params["image"], params["control"]["edges"]))
    assert tuple(seen[2, 4]) == (6, 10, 12), "the hatching, and not the traced layer over it"
    assert control.shape[:2] == seen.shape[:2]


def check_regions(client: Client, facts: dict[str, Any]) -> None:
    job, plain, other = facts["regions"]
    params = client.job(job)["params"]
    assert sorted(params["region"]) == ["a fox, at dusk", "an oak, at dusk"]
    left, right = (sent(client, params["region"][words]["sha256"]) for words in ("a fox, at dusk", "an oak, at dusk"))
    assert (left[:, :64] == 255).all()
    assert not left[:, 64:].any()
    assert (right[:, 96:] == 128).all()
    assert not right[:, :96].any()
    assert client.job(plain)["params"]["region"] == {}
    refused, said, kept = facts["elsewhere"]
    assert (refused, kept) == (True, True)
    assert "is not in this document" in said
    assert facts["added_in_sight"], "a region that was added below the edge of the form"
    assert facts["reused"] == [True, [2, 1], True]
    assert client.job(plain)["params"]["control_strength"] == client.job(job)["params"]["control_strength"] == {"edges": 0.25}
    assert client.job(plain)["params"]["seed"] == client.job(job)["params"]["seed"]
    assert other > 10
