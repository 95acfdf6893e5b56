"""Settings: what may be written, what wins over what, what an error names, and that a change leaves the rest of the file alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gesso.config import KEYS, change, flags, key, load
from gesso.config.text import line_of
from gesso.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

WRITTEN = """# my machine
[storage]          # pictures
limit = "5 GiB"    # the disk is small
keep = "never"

# how the worker behaves
[worker]
threads = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN, encoding="utf-8")
    return path


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    settings = load(tmp_path / "config.toml", environ={})
    assert dict(settings.values) == {entry.name: entry.default for entry in KEYS}
    assert set(settings.sources.values()) == {"default"}


def test_what_plugins_are_told_is_left_to_them(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[worker]\nthreads = 2\n[plugins.filters]\nprivate = true\nlevels.deep = ["x"]\n')
    assert load(path, environ={}).integer("worker.threads") == 2
    path.write_text("[plugins]\nfilters = 3\n")
    with pytest.raises(ConfigError, match="one table for each plugin"):
        load(path, environ={})


def test_every_default_is_a_value_of_its_key_and_survives_being_shown() -> None:
    for entry in KEYS:
        assert entry.taken_from(entry.default) == entry.default, entry.name
        assert entry.read(entry.shown(entry.default)) == entry.default, entry.name


def test_flags_go_over_the_environment_and_that_over_the_file(file: Path) -> None:
    environ = {"GESSO_STORAGE_LIMIT": "6GiB", "GESSO_THREADS": "5"}
    settings = load(file, environ=environ, flags={"storage.limit": "7 GiB"})
    assert settings.integer("storage.limit") == 7 << 30
    assert settings.integer("worker.threads") == 5
    assert settings.number("storage.keep") == 0
    found = [settings.sources[name] for name in ("storage.limit", "worker.threads", "storage.keep", "queue.limit")]
    assert found == ["flag", "environment", "file", "default"]


@pytest.mark.parametrize(
    ("text", "line", "name", "says"),
    [
        ('[storage]\nlimt = "1 GiB"\n', 2, "storage.limt", "there is no setting"),
        ('\n[storage]\nkeep = "10 min"\nlimit = "much"\n', 4, "storage.limit", "must be a number with one of the units"),
        ("worker.threads = -1\n", 1, "worker.threads", "must be at least 1"),
        ("[worker]\nthreads = 1.5\n", 2, "worker.threads", "must be a whole number"),
        ("[worker]\nthreads = true\n", 2, "worker.threads", "must be a whole number"),
        ('[worker]\n\n\nthreads = "4"\n', 4, "worker.threads", "must be a whole number"),
        ('[logs]\nlevel = "loud"\n', 2, "logs.level", "must be one of debug, info"),
        ('[daemon]\ntcp = "yes"\n', 2, "daemon.tcp", "must be true or false"),
        ("[storage]\nlimit = 5\n", 2, "storage.limit", "must be at least 64 KiB"),
        ("[worker]\nslots = nan\n", 2, "worker.slots", "must be a finite number"),
        ('[output]\npattern = "a\\nb"\n', 2, "output.pattern", "one line"),
        ("[storage]\nlimit = [1]\n", 2, "storage.limit", "must be a number"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_key(tmp_path: Path, text: str, line: int, name: str, says: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(path, environ={})
    assert refused.value.message.startswith(f"{path}, line {line}: ")
    assert says in refused.value.message
    assert refused.value.field == name


def test_the_nearest_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no setting") as refused:
        key("storage.limt")
    assert refused.value.hint == "Did you mean storage.limit?"
    with pytest.raises(ConfigError) as refused:
        key("threads")
    assert refused.value.hint == "Did you mean worker.threads?"


def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[storage]\nlimit = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml is not TOML: .*line 2"):
        load(path, environ={})


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GESSO_THREADS must be a whole number, not 'many'"):
        load(tmp_path / "x", environ={"GESSO_THREADS": "many"})
    with pytest.raises(ConfigError, match=r"storage\.limit must be at least"):
        flags(["storage.limit=1"])
    with pytest.raises(ConfigError, match="not of the form KEY=VALUE"):
        flags(["storage.limit"])


def test_a_change_leaves_everything_else_as_it_was_written(file: Path) -> None:
    assert change(file, "storage.limit", "1.5GiB") == 3 << 29
    assert file.read_text() == WRITTEN.replace('"5 GiB"', '"1.5 GiB"')
    change(file, "storage.reserve", "64 MiB")
    assert file.read_text() == WRITTEN.replace('"5 GiB"', '"1.5 GiB"').replace('"never"\n', '"never"\nreserve = "64 MiB"\n')
    change(file, "logs.prompts", "yes")
    assert file.read_text().endswith("threads = 3\n\n[logs]\nprompts = true\n")
    for name in ("storage.reserve", "logs.prompts"):
        change(file, name, None)
    assert load(file, environ={}).integer("worker.threads") == 3
    assert "reserve" not in file.read_text()


def test_every_setting_can_be_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for entry in KEYS:
        change(path, entry.name, entry.shown(entry.default))
    assert set(load(path, environ={}).sources.values()) == {"file"}
    assert load(path, environ={}).values == load(tmp_path / "none", environ={}).values
    change(path, "storage.limit", "1234567")
    assert load(path, environ={}).integer("storage.limit") == 1234567


def test_a_change_that_is_wrong_leaves_the_file_alone(file: Path) -> None:
    for name, words in (("storage.limit", "much"), ("storage.limt", "1 GiB"), ("queue.limit", "0")):
        with pytest.raises(ConfigError):
            change(file, name, words)
    assert file.read_text() == WRITTEN
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("text", ["worker = { threads = 3 }\n", "[worker]\nthreads = 3 # a\n[[other]]\n", 'worker."threads" = 3\n'])
def test_what_cannot_be_changed_by_program_is_left_to_its_owner(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        change(path, "worker.threads", "2")
    assert path.read_text() == text


def test_lines_are_found_in_dotted_keys_too() -> None:
    assert line_of(WRITTEN, "worker.threads") == 8
    assert line_of("a = 1\nlogs.level = 'info'\n", "logs.level") == 2


def test_the_page_lists_every_setting_with_type_default_and_unit() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \| `([^`]*)` \| ([^|]+) \| `(GESSO_[A-Z_]+)` \| (.+) \|$", page, flags=re.MULTILINE)
    documented = {row[0]: tuple(row[1:]) for row in rows}
    coded = {
        entry.name: (
            entry.kind + (f" in {entry.unit}" if entry.unit else ""),
            entry.shown(entry.default),
            entry.taken,
            entry.variable,
            entry.text
            + (f" Empty or 0: {entry.empty}." if entry.empty else "")
            + (f" One of {', '.join(entry.choices)}." if entry.choices else ""),
        )
        for entry in KEYS
    }
    assert documented == coded
