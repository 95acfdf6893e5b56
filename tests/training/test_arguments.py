"""The options that all trainings share refuse what makes no sense, in a sentence."""

from __future__ import annotations

import pytest

from gesso.training.arguments import Training, train_parser

PARSER = train_parser(Training("moss", "Train moss.", steps=100, layouts=8))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--steps", "0"), "argument --steps: must be above 0, not 0"),
        (("--steps", "-3"), "argument --steps: must be above 0, not -3"),
        (("--minutes", "0"), "argument --minutes: must be above 0, not 0"),
        (("--minutes", "nan"), "argument --minutes: must be above 0, not nan"),
        (("--layouts", "-1"), "argument --layouts: must not be below 0, not -1"),
        (("--threads", "0"), "argument --threads: must be above 0, not 0"),
        (("--steps", "many"), "argument --steps: invalid int value: 'many'"),
    ],
)
def test_numbers_of_nothing_are_refused(words: tuple[str, str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        PARSER.parse_args(words)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_other_numbers_are_taken() -> None:
    found = PARSER.parse_args(["--steps", "7", "--minutes", "0.5"])
    assert (found.steps, found.minutes, found.threads) == (7, 0.5, 1)
