"""One command line from words to exit code: routing, errors in both forms, and what still runs when something is broken."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso import __version__
from gesso.cli import main, report
from gesso.cli.app import describe, resolve
from gesso.cli.commands import function
from gesso.cli.parser import build
from gesso.errors import Cancelled, GessoError, InvalidRequest, UsageError


def handlers(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every handler that the grammar names."""
    handler = parser.get_default("handler")
    if handler is not None:
        yield handler
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from handlers(child)


def test_every_handler_exists() -> None:
    found = set(handlers(build(describe())))
    assert len(found) > 15
    assert all(callable(resolve(name)) for name in found)


def test_every_command_of_the_plugins_exists_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    entries = describe().catalogues["commands"]
    assert entries
    for entry in entries:
        group, _, rest = entry["name"].partition(" ")
        with pytest.raises(SystemExit):
            main([group, "--help"] if rest else ["--help"])
        assert (rest or group) in capsys.readouterr().out
        assert callable(function(entry["name"], entry["run"]))


def test_a_command_of_a_plugin_gets_the_rest_of_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "starter", "--help"])
    assert caught.value.code == 0
    assert "gesso train starter" in capsys.readouterr().out


def test_a_group_of_plugin_commands_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--help"])
    assert caught.value.code == 0
    assert "Train the starter model" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gesso {__version__}\n"
    assert main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs a command"),
        (["jobs"], "`gesso jobs` needs a command"),
        (["stauts"], "Did you mean status"),
        (["train"], "`gesso train` needs a command"),
        (["train", "startr"], "Did you mean starter"),
        (["jobs", "lst"], "Did you mean list"),
        (["generate", "grey", "stone"], "quotes"),
        (["status", "--verbose"], "--verbose"),
    ],
)
def test_usage_errors_are_one_line_or_one_object(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert says in said.err
    assert main([*words, "--json"]) == 2
    said = capsys.readouterr()
    assert said.err == ""
    error = json.loads(said.out)["error"]
    assert error["code"] == "usage"
    assert says in error["message"] + error.get("hint", "")


@pytest.mark.parametrize(("error", "code"), [(UsageError("a"), 2), (InvalidRequest("a"), 2), (Cancelled("a"), 130), (GessoError("a"), 1)])
def test_exit_codes(error: GessoError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_args: object, _surface: object) -> int:
        raise error

    monkeypatch.setattr("gesso.cli.listings.samplers", fail)
    assert main(["samplers"]) == code
    assert capsys.readouterr().err == f"gesso: a [{error.code}]\n"


def test_with_a_broken_schema_file_doctor_tells_and_operations_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "operations.json"
    broken.write_text("{", encoding="utf-8")
    monkeypatch.setattr("gesso.manifest.Manifest.operations_file", broken)
    assert main(["generate", "moss"]) == 1
    assert f"{broken} cannot be used" in capsys.readouterr().err
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["check"] for finding in findings if finding["state"] == "problem"] == ["operations"]
    assert main(["plugins", "list"]) == 0


def test_listings_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    for words, key, name in (
        (["models", "list"], "models", "procedural"),
        (["plugins", "list"], "plugins", "imaging"),
        (["samplers"], "samplers", "euler"),
        (["schedules"], "schedules", "karras"),
        (["guidances"], "guidances", "perturbed_attention"),
    ):
        assert main(words) == 0
        assert name in capsys.readouterr().out
        assert main([*words, "--json"]) == 0
        assert name in [entry["name"] for entry in json.loads(capsys.readouterr().out)[key]]


@pytest.mark.parametrize("words", [["samplers"], ["--version"], ["generate", "--json"]])
def test_a_reader_that_leaves_is_no_traceback(words: list[str]) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; time.sleep(0.3); from gesso.cli import main; raise SystemExit(main(sys.argv[1:]))",
            *words,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 1


def test_ctrl_c_outside_a_job_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_args: object, _surface: object) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 0

    monkeypatch.setattr("gesso.cli.listings.samplers", interrupt)
    assert main(["samplers"]) == 130
    assert capsys.readouterr().err == ""


def test_a_hint_is_said_once() -> None:
    said = report.one_line(InvalidRequest("There is no scorer 'clop'. Did you mean clip?", field="score", hint="Did you mean clip?"))
    assert said == "gesso: There is no scorer 'clop'. Did you mean clip? [score: invalid]"
    assert report.one_line(InvalidRequest("No.", hint="Ask again.")) == "gesso: No. [invalid] Ask again."


def test_a_broken_installation_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "gesso.cli.listings", None)
    assert main(["samplers"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "installation of Gesso is broken" in said
    assert "gesso doctor" in said
