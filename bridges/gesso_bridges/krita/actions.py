"""The actions: what each is called, its key until the user chooses another, and what it does to the docker. Krita reads names and keys
from a file beside the plugin, which is written from here; nothing here needs Krita.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Act:
    """``key``: as Qt writes keys, and one that Krita 5.1 to 6.0 leaves free; empty: none."""

    title: str
    key: str
    call: Callable[[Any], object]


ACTS = {
    "gesso_submit": Act("generate", "Shift+Return", lambda docker: docker.submit()),
    "gesso_cancel_all": Act("cancel", "Shift+Esc", lambda docker: docker.cancel_all()),
    "gesso_prompt": Act("write the prompt", "Shift+F2", lambda docker: docker.write_prompt()),
    "gesso_apply_result": Act("apply the result", "Shift+F3", lambda docker: docker.jobs.apply()),
    "gesso_discard_result": Act("discard the result", "Shift+F4", lambda docker: docker.jobs.discard()),
    "gesso_reuse_settings": Act("reuse the settings", "Shift+F5", lambda docker: docker.jobs.reuse()),
    "gesso_favour_result": Act("favourite", "Shift+F7", lambda docker: docker.jobs.favour()),
    "gesso_live_painting": Act("live painting", "Shift+F8", lambda docker: docker.set_live(not docker.live.running)),
    "gesso_live_keep": Act("keep the live picture", "Shift+F9", lambda docker: docker.live.apply()),
    "gesso_exclude_layer": Act("leave the layer out", "Shift+F11", lambda docker: docker.place.toggle()),
    "gesso_show": Act("show the docker", "Shift+F12", lambda docker: docker.come_up()),
    "gesso_next_mode": Act("next thing to do", "", lambda docker: docker.step_mode(1)),
    "gesso_previous_mode": Act("previous thing to do", "", lambda docker: docker.step_mode(-1)),
    "gesso_add_region": Act("add a region", "", lambda docker: docker.regions.open_row()),
    "gesso_add_control": Act("add a control layer", "", lambda docker: docker.controls.open_row()),
    "gesso_mend": Act("start or mend the daemon", "", lambda docker: docker.mend()),
    "gesso_example": Act("make the example", "", lambda docker: docker.controller.example()),
    "gesso_copy_error": Act("copy the error", "", lambda docker: docker.foot.copy_error()),
    "gesso_copy_report": Act("copy a report", "", lambda docker: docker.foot.copy_report()),
    "gesso_open_log": Act("open the log", "", lambda docker: docker.foot.open_log()),
}


def title(act: Act) -> str:
    """An action as Krita lists it."""
    return f"Gesso: {act.title}"


def collection() -> str:
    """The actions as Krita reads them: XML of its own, one group of the settings for keyboard shortcuts."""
    rows = [
        f'    <Action name="{name}">\n      <text>{escape(title(act))}</text>\n      <shortcut>{act.key}</shortcut>\n'
        "      <activationFlags>0</activationFlags>\n      <activationConditions>0</activationConditions>\n    </Action>\n"
        for name, act in ACTS.items()
    ]
    opening = '<?xml version="1.0" encoding="UTF-8"?>\n<ActionCollection version="2" name="Scripts">\n  <Actions category="Scripts">\n'
    return f"{opening}    <text>Gesso</text>\n{''.join(rows)}  </Actions>\n</ActionCollection>\n"
