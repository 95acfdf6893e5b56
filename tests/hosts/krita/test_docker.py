"""In a real Krita with a real daemon: the docker is drawn from the schemas and used with the mouse and the keyboard of the X server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gesso.client import Client
from gesso_bridges.krita.actions import ACTS

from .conftest import LIMIT

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]


def test_type_click_layer_undo_cancel_and_a_daemon_that_dies(krita: Any, gesso: Path, tmp_path: Path, keep_pictures: Any) -> None:
    """Fails without: `laid_into` in `orders._region` (the mask that the daemon got would be black), `group.addChildNode` before
    `parent.addChildNode` in `layers.add_group` (undo would take two steps), `self._order(...)` of `Session.fix` (the daemon stays away),
    `tabs.order` in `Docker._draw_form` (the tabulator would leave the form), `faults.watch` in `plugin.register` (Krita would open a
    window), `actions/` in `Krita.files` (no action would have a key), `Lines.event` (the prompt would take the key that generates),
    `client.pin` in `Controller.favour` (the daemon would let a favourite go), `told.setVisible` in `Controls.show_for` with False."""
    verdict = krita("docker")
    keep_pictures(tmp_path)
    facts = verdict.check()
    check_panel(facts)
    check_layer(facts)
    check_life(facts)
    with Client(home=gesso, start=False) as client:
        job = client.job(facts["task"][2])
        assert [line["job"] for line in client.jobs() if line["pinned"]] == [facts["starred"]]
        assert client.job(facts["cancelled_job"])["state"] == "cancelled"
    params = job["params"]
    assert (job["client"], job["operation"], job["state"]) == ("krita", "edit", "done")
    assert (params["prompt"], params["seed"], params["steps"], params["returns"]) == ("red brick wall", 7, 2, "layer")
    assert (params["left"], params["right"]) == (0, 0)
    check_pictures(gesso, params)


def check_panel(facts: dict[str, Any]) -> None:
    assert facts["state"].startswith("Connected to Gesso")
    assert facts["operations"][0] == "Fill"
    assert {"Generate", "Texture", "Upscale"} <= set(facts["operations"])
    assert "Caption" not in facts["operations"]
    assert facts["order"][:3] == ["gesso_field_prompt", "gesso_field_negative", "gesso_field_style_preset"]
    assert facts["order"][3] != "gesso_operation"
    assert facts["steps_shown"] is True
    assert facts["without_nets"][:2] == [True, False]
    assert facts["without_nets"][2].startswith("No ControlNet is here")


def check_layer(facts: dict[str, Any]) -> None:
    assert facts["task"][:2] == ["done", "edit"], facts["task"]
    assert [entry[1] for entry in facts["layers"]] == ["paintlayer", "grouplayer"]
    assert facts["layers"][1][0] == "Gesso: red brick wall"
    assert facts["layers"][1][2] == ["result, seed 7"]
    assert facts["below_untouched"]
    assert facts["outside_same"]
    assert facts["outside_count"] > 320 * 256 / 2
    assert facts["full_opaque"]
    assert facts["full_count"] > 1000
    assert facts["full_new"] > 0.9 * facts["full_count"]
    assert facts["half_selected"] > 100
    assert (facts["list_rows"], facts["has_icon"]) == (1, True)
    assert [entry[1] for entry in facts["undone"]] == ["paintlayer"]
    assert facts["pixels_undone"]
    assert facts["redone"]
    assert facts["pixels_redone"]


def check_life(facts: dict[str, Any]) -> None:
    assert facts["bar"][0] is True
    assert "step" in facts["bar"][1]
    assert facts["preview_icon"]
    assert (facts["cancelled"], facts["bar_after"]) == ("cancelled", False)
    assert "The daemon has stopped" in facts["lost"]
    assert facts["fix"] == [True, "Start Gesso"]
    assert facts["after_restart"] == "done", facts["error"]
    assert facts["carried"] == "red brick wall"
    assert {"prompt", "width", "height", "tile"} <= set(facts["texture_fields"])
    assert facts["reused"] == ["edit:inpaint", 7, "red brick wall"]
    assert facts["star"] == "\u2605"
    assert facts["survived"] == ["done", "None", True]
    assert facts["prompt_after"] == "moss"
    assert facts["keys"] == {act.key: [name] for name, act in ACTS.items() if act.key}
    check_fault(*facts["fault"])
    assert "no-such-model" in facts["error_text"]
    assert "code: " in facts["error_detail"]
    assert facts["at_once"] is True


def check_fault(said: str, detail: str, opened: list[str]) -> None:
    assert said.startswith("Something in Gesso's plugin went wrong")
    assert "ZeroDivisionError" in detail
    assert detail.endswith("code: internal")
    assert opened == []


def check_pictures(home: Path, params: dict[str, Any]) -> None:
    """What the daemon was sent: the canvas, which is smaller than a context, and the soft selection."""
    import io

    import numpy as np
    from PIL import Image

    with Client(home=home, start=False) as client:
        image, mask = (np.asarray(Image.open(io.BytesIO(client.download(params[name]["sha256"])))) for name in ("image", "mask"))
    y, x = np.mgrid[:256, :320]
    assert np.array_equal(image, np.stack([(x + y) % 256, y * 5 % 256, x * 3 % 256], 2).astype(np.uint8))
    assert mask.shape == (256, 320)
    assert mask[130, 165] == 255
    assert mask[20, 20] == 0
    assert len(np.unique(mask)) > 5
