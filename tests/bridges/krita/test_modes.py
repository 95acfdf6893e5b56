"""What can be done to a picture, as a painter calls it: from the real schemas, in the order in which it is offered."""

from __future__ import annotations

import json
from importlib import resources

from gesso_bridges.krita.modes import modes, of_task
from gesso_bridges.panel.form import parse


def test_presets_are_modes_and_an_operation_of_tomorrow_stands_at_the_end() -> None:
    document = json.loads((resources.files("gesso_plugins") / "operations.json").read_text())
    picked = {name: document["operations"][name] for name in ("upscale", "edit", "texture", "vary")}
    found = modes(parse({"operations": {"tomorrow": {**picked["vary"], "title": "Tomorrow"}, **picked}}).forms)
    assert [mode.title for mode in found] == [
        "Fill", "Refine", "Expand", "Add", "Remove", "Replace background", "Vary", "Upscale", "Seamless tile", "Texture", "Tomorrow",
    ]  # fmt: skip
    by_name = {mode.name: mode for mode in found}
    assert by_name["edit:background"].values == {"invert": True}
    assert by_name["texture:tile"].slots == {"image": "canvas"}
    assert of_task(found, "edit", {"strength": 0.4, "padding": 0.33}) == by_name["edit:refine"]
    assert of_task(found, "edit", {"strength": 1.0}) == by_name["edit:inpaint"]
    assert of_task(found, "edit", {"strength": 1.0}, "edit:background") == by_name["edit:background"]
    assert of_task(found, "edit", {"strength": 1.0}, "of another daemon") == by_name["edit:inpaint"]
    assert of_task(found, "gone", {}) is None
