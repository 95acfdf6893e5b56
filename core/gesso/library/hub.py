"""Fetches a model from a Hugging Face hub into the owner's folder: one pinned commit, an allow-list of files, every file held against its
checksum, and a broken download goes on where it stopped. It is the owner's act at a terminal; nothing of the protocol reaches it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gesso import statefiles
from gesso.errors import ModelError, StorageFull
from gesso.library.hashes import Hashes
from gesso.library.snapshot import INDEX

SUFFIXES = (".safetensors", ".json", ".txt", ".model")
PAPERS = ("readme.md", "license", "license.md", "license.txt", "notice", "notice.md")
RECORD = "pulled.json"
_LEFT_OUT = ("onnx", "openvino", "flax", "safety_checker", "runs", "logs", "samples", "images", "assets")
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|fp8|non_ema|ema)[.-]")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")
_RESERVE = 1 << 30


@dataclass(frozen=True)
class Part:
    """One file of a commit. ``sha256`` is that of a large file, ``blob`` git's hash of a small one."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Wish:
    """What to fetch: ``repo`` as owner/name, a branch, tag or commit, one ``file`` of it, a ``variant`` of weights such as fp16."""

    repo: str
    revision: str | None = None
    file: str | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Pulled:
    """What was fetched. ``path``: the model, a file or a directory. ``fetched``: bytes that came over the line now."""

    path: Path
    repo: str
    revision: str
    files: tuple[str, ...]
    fetched: int


Tell = Callable[[str], None]


def pull(wish: Wish, into: Path, cache: Hashes, tell: Tell | None) -> Pulled:
    """Fetch what is wished for into a folder of its own below ``into``. ``tell``: what to do with a line for each file;
    None: show bars in the terminal.
    """
    if not _REPO.fullmatch(wish.repo):
        hint = "Models on a hub are called OWNER/NAME; `gesso models pull` lists the names that Gesso knows."
        raise ModelError(f"{wish.repo[:80]!r} is neither a name that Gesso knows nor one of a hub.", field="name", hint=hint)
    with _explained(wish):
        commit, offered = _listed(wish)
        parts = chosen(offered, wish)
        place = into / wish.repo.replace("/", "--")
        _check_room(parts, place)
        fetched = 0
        for part in parts:
            fetched += _fetch(replace(wish, revision=commit), part, place, cache, tell)
    names = tuple(part.name for part in parts)
    statefiles.write(
        place / RECORD, {"repo": wish.repo, "revision": commit, "files": {part.name: part.sha256 or part.blob for part in parts}}
    )
    weights = [name for name in names if name.endswith(".safetensors")]
    alone = INDEX not in names and len(weights) == 1 and "config.json" not in names
    return Pulled(place / weights[0] if alone else place, wish.repo, commit, names, fetched)


def _listed(wish: Wish) -> tuple[str, list[Part]]:
    """The commit, and its files."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(wish.repo, revision=wish.revision, files_metadata=True)
    if not re.fullmatch(r"[0-9a-f]{40}", str(info.sha)):
        raise ModelError(f"The hub names no commit for {wish.repo}.")
    return str(info.sha), [
        Part(s.rfilename, int(s.size or 0), s.lfs.sha256 if s.lfs else None, s.blob_id if not s.lfs else None) for s in info.siblings or ()
    ]


def chosen(offered: Sequence[Part], wish: Wish) -> list[Part]:
    """The files to fetch, of those that may be: no pickle, no program, nothing outside the folder, one variant of each component."""
    allowed = [part for part in offered if _may_come(part.name)]
    names = {part.name for part in allowed}
    if wish.file is not None:
        found = [part for part in allowed if part.name == wish.file or part.name.lower() in PAPERS]
        if wish.file not in names:
            raise ModelError(f"{wish.repo} has no file {wish.file!r} that may be fetched.", field="file", hint=_some(names))
        return found
    directory = INDEX in names
    kept = [part for part in allowed if not (directory and "/" not in part.name and part.name.endswith(".safetensors"))]
    kept = [part for part in kept if _right_variant(part.name, {p.name for p in kept}, wish.variant)]
    weights = [part.name for part in kept if part.name.endswith(".safetensors")]
    if not weights:
        raise ModelError(f"{wish.repo} holds no safetensors weights, and Gesso fetches no pickle.", hint="Look for a safetensors version.")
    if not directory and "config.json" not in names and len(weights) > 1:
        raise ModelError(f"{wish.repo} holds several models.", field="file", hint=f"Name one with --file. {_some(set(weights))}")
    if not directory:
        kept = [part for part in kept if "/" not in part.name or part.name in weights]
    return kept


def _may_come(name: str) -> bool:
    pieces = name.split("/")
    if any(piece in ("", ".", "..") or piece.startswith(".") or "\\" in piece or "\0" in piece for piece in pieces):
        return False
    if len(pieces) > 3 or pieces[0].lower() in _LEFT_OUT or name == RECORD:
        return False
    return name.lower() in PAPERS or name.endswith(SUFFIXES)


def _right_variant(name: str, names: set[str], variant: str | None) -> bool:
    """Whether this is the variant asked for; a component without it comes as it is."""
    if not name.endswith((".safetensors", ".json")):
        return True
    match = _VARIANT.search(name)
    folder, _, _ = name.rpartition("/")
    beside = {m[1] for other in names if other.rpartition("/")[0] == folder and (m := _VARIANT.search(other))}
    plain_weights = any(
        other.endswith(".safetensors") and not _VARIANT.search(other) for other in names if other.rpartition("/")[0] == folder
    )
    wanted = variant if variant in beside else None
    if match is None:
        return wanted is None or name.endswith(".json")
    return match[1] == wanted or (wanted is None and not plain_weights and match[1] == min(beside))


def _some(names: set[str]) -> str:
    shown = sorted(names)
    return f"It has {', '.join(shown[:8])}{' ...' if len(shown) > 8 else ''}."


def _check_room(parts: Sequence[Part], place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    missing = sum(part.size for part in parts if not (place / part.name).exists())
    free = shutil.disk_usage(place).free
    if missing + _RESERVE > free:
        raise StorageFull(
            f"The model needs {missing / 2**30:.1f} GiB on the disk of {place}, and {free / 2**30:.1f} GiB are free.",
            hint="Make room, or add the model from another disk with `gesso models add`.",
        )


def _fetch(wish: Wish, part: Part, place: Path, cache: Hashes, tell: Tell | None) -> int:
    """Bring one file; bytes that came now. What is there and sound stays."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, disable_progress_bars

    path = place / part.name
    if path.exists() and path.stat().st_size == part.size and _sound(part, path, cache):
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{(part.sha256 or part.blob or str(wish.revision))[:16]}.part")
    if tell is not None:
        disable_progress_bars()
        tell(f"{part.name}, {part.size / 2**20:.1f} MiB")
    with draft.open("ab") as file:
        before = min(file.tell(), part.size)
        file.truncate(before)
        url = hf_hub_url(wish.repo, part.name, revision=wish.revision)
        http_get(url, file, resume_size=before, headers=build_hf_headers(), expected_size=part.size, displayed_filename=part.name)
        file.flush()
        os.fsync(file.fileno())
    if not _sound(part, draft, cache):
        draft.unlink()
        raise ModelError(
            f"{part.name} of {wish.repo} arrived with another checksum than the hub states, and was thrown away.",
            hint="Run the command again; if it happens again, something on the way changes files.",
        )
    os.replace(draft, path)
    return part.size - before


def _sound(part: Part, path: Path, cache: Hashes) -> bool:
    """Whether the content is what the commit says."""
    if part.sha256 is not None:
        return cache.sha256(path) == part.sha256
    content = path.read_bytes()
    return part.blob is None or hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == part.blob


@contextlib.contextmanager
def _explained(wish: Wish) -> Iterator[None]:
    """What the hub's client raises, as a sentence."""
    from huggingface_hub import errors

    again = "Run the same command again: it goes on where it stopped."
    try:
        yield
    except errors.GatedRepoError as fault:
        hint = f"Accept its terms on the hub's page of {wish.repo}, then log in with `hf auth login`."
        raise ModelError(f"{wish.repo} asks you to accept its terms first.", hint=hint) from fault
    except errors.RepositoryNotFoundError as fault:
        hint = "Check the name; for a private model log in with `hf auth login`."
        raise ModelError(f"The hub shows no model {wish.repo!r}.", field="name", hint=hint) from fault
    except errors.RevisionNotFoundError as fault:
        raise ModelError(
            f"{wish.repo} has no revision {wish.revision!r}.", field="revision", hint="Name a branch, a tag or a commit."
        ) from fault
    except errors.OfflineModeIsEnabled as fault:
        raise ModelError("HF_HUB_OFFLINE is set, so nothing is fetched.", hint="Unset it for this command.") from fault
    except (errors.HfHubHTTPError, OSError, json.JSONDecodeError) as fault:
        raise ModelError(f"{wish.repo} could not be fetched: {_short(fault)}.", hint=again) from fault
    except ImportError:
        raise
    except Exception as fault:
        if type(fault).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
            raise
        raise ModelError(f"The connection to the hub broke: {_short(fault)}.", hint=again) from fault


def _short(fault: Any) -> str:
    return " ".join(str(fault).split()).rstrip(".")[:200] or type(fault).__name__
