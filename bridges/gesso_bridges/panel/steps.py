"""The three steps of a first run, each with its state and what takes it further. It looks at a session and does nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from .session import Session

EXAMPLE = "mossy grey cobblestone"
"""A prompt that works with the models that ship."""


@dataclass(frozen=True)
class Step:
    """``fix``: a key of `state.FIXES`, ``example`` (make the first picture), or None where nothing is to be done."""

    title: str
    done: bool
    sentence: str
    fix: Optional[str] = None


def first_steps(session: Session, made_before: bool = False) -> List[Step]:
    """Daemon, model, first picture. ``made_before``: whether the host remembers a picture from an earlier run."""
    state = session.state
    daemon = Step("Gesso runs", state.connected, state.sentence, None if state.connected else state.fix)
    models = [] if session.surface is None else [str(entry["name"]) for entry in session.surface.catalogues.get("models", ())]
    if models:
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        model = Step("A model is there", True, f"{', '.join(models[:3])}{more}.")
    else:
        missing = "It has no model: gesso models add FOLDER" if state.connected else "Known once Gesso runs."
        model = Step("A model is there", False, missing)
    made = made_before or any(task.state == "done" for task in session.tasks.values())
    ready = state.connected and bool(models)
    sentence = "Done." if made else f"Try: {EXAMPLE}" if ready else "Known once a model is there."
    return [daemon, model, Step("The first picture", made, sentence, "example" if ready and not made else None)]
