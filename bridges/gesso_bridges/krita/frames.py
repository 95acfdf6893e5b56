"""When a frame of live painting is sent, and when one is given up: at most one is under way, the newest pixels win. A state machine that
sends nothing itself.

    idle -- pixels are new --> under way -- ended, pixels are new --> under way
                                  |  `----- ended, nothing new ----> idle
                                  `- pixels are new, less than half done --> giving up -- ended --> under way

A frame that follows one that was given up runs to its end: whoever paints without a pause still sees pictures.
"""

from __future__ import annotations

HALF = 0.5


class Frames:
    """``mark`` is what `Strips.mark` gives: the same for the same pixels."""

    def __init__(self) -> None:
        self.state = "idle"
        self.sent: int | None = None
        self._spared = False

    def wants(self, mark: int, fraction: float = 0.0) -> str | None:
        """What to do now: ``send`` a frame, ``cancel`` the one under way, or None."""
        if mark == self.sent:
            return None
        if self.state == "idle":
            return "send"
        if self.state == "under way" and not self._spared and fraction < HALF:
            return "cancel"
        return None

    def began(self, mark: int) -> None:
        """A frame was sent."""
        self.state, self.sent = "under way", mark

    def gave_up(self) -> None:
        """The frame under way was told to end."""
        self.state, self._spared = "giving up", True

    def ended(self) -> None:
        """It has ended, in whatever way."""
        if self.state == "under way":
            self._spared = False
        self.state = "idle"
