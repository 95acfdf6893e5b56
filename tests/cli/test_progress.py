"""What a person sees while a job runs: the right words on a terminal and in a log, from events of which any may be missing."""

from __future__ import annotations

import io

import pytest

from gesso.cli.preview import RAW
from gesso.cli.progress import Bar, Lines, Pace, Silent, reporter
from gesso.cli.report import clock
from gesso.client import Log, Preview, Progress, Queued, Started


def step(number: int, *, image: int = 0, images: int = 1) -> Progress:
    fraction = (image + number / 20) / images
    return Progress("j", number, image=image, images=images, step=number, total=20, fraction=fraction, rate=4.0)


def test_before_the_first_event_nothing_is_known() -> None:
    pace = Pace()
    assert (pace.fraction, pace.remaining(), pace.words()) == (0.0, None, "waiting")
    pace.take(Progress("j", 1, step=1, total=20, fraction=0.05))
    assert pace.words() == "step 1/20, 5 %", "one step tells no rate"


def test_words_tell_image_step_rate_and_time_left() -> None:
    pace = Pace()
    pace.take(step(5, image=1, images=4))
    words = pace.words()
    assert words.startswith("image 2/4, step 5/20, 31 %, 4.0 steps/s, ")
    assert words.endswith(" left")


def test_a_sampler_that_does_not_know_its_steps_still_shows_how_far_it_is() -> None:
    pace = Pace()
    pace.take(Progress("j", 1, step=7, total=None, fraction=0.25, rate=0.5))
    assert pace.words().startswith("step 7, 25 %, 2.0 s a step, ")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3600, "1:00:00"), (59.6, "1:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_lines_are_few_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("generate")
    for event in (
        Queued("j", 1, position=1),
        Queued("j", 2, position=3),
        Started("j", 3),
        *(step(n) for n in range(1, 21)),
        Log("j", 30, message="hear this"),
    ):
        lines.show(event)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "gesso: generate: waiting, number 3 in the queue"
    assert said[1] == "gesso: generate: started"
    assert said[-1] == "gesso: hear this"
    assert len(said) == 4, "twenty steps at once are one line"
    assert "\x1b" not in "".join(said)


def test_quiet_says_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    for event in (Started("j", 1), step(1), Log("j", 2, level="info", message="a"), Log("j", 3, level="warning", message="b")):
        silent.show(event)
    assert capsys.readouterr().err == "gesso: b\n"


def drawn(colours: str, *events: object) -> str:
    """What a live terminal of these colours shows at the end."""
    from rich.console import Console
    from rich.live import Live

    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system=colours, width=100, legacy_windows=False)  # type: ignore[arg-type]
    with Live(console=console, auto_refresh=False) as live:
        bar = Bar("generate", console, live)
        for event in events:
            bar.show(event)  # type: ignore[arg-type]
        live.refresh()
    return file.getvalue()


PREVIEW = Preview("j", 4, width=8, height=8, media_type=RAW, data=bytes((250, 10, 20)) * 64)


def test_the_bar_shows_step_rate_and_a_preview_where_the_terminal_has_the_colours() -> None:
    shown = drawn("truecolor", Started("j", 1), step(5), PREVIEW)
    assert "step 5/20, 25 %, 4.0 steps/s" in shown
    assert "\u2580" in shown
    assert "38;2;250;10;20" in shown


@pytest.mark.parametrize("colours", ["standard", "256"])
def test_without_true_colours_there_is_no_preview(colours: str) -> None:
    shown = drawn(colours, Started("j", 1), step(5), PREVIEW)
    assert "step 5/20" in shown
    assert "\u2580" not in shown


def test_a_preview_that_cannot_be_read_is_said_once_and_the_job_goes_on() -> None:
    broken = Preview("j", 1, width=8, height=8, media_type="image/jpeg", data=b"nothing")
    shown = drawn("truecolor", broken, PREVIEW, step(5))
    assert shown.count("cannot be shown") == 1
    assert "step 5/20" in shown


def test_what_standard_error_is_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    with reporter("x", quiet=True) as shown:
        assert isinstance(shown, Silent)
    with reporter("x", quiet=False) as shown:
        assert isinstance(shown, Lines), "captured output is no terminal"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    with reporter("x", quiet=False) as shown:
        assert isinstance(shown, Lines)
