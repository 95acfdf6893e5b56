"""Looks at one file or directory and says what model it is, from headers and small configuration files alone. It opens no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import ModelError
from gesso.library.header import AGAIN, SAFE_VERSION, Header, read_header
from gesso.library.recognition import Layout, Layouts
from gesso.library.snapshot import INDEX, NEVER_LOADED, check_snapshot, class_name, components, read_json, refuse_code, weight_files

PICKLED = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
WEIGHTLESS = frozenset({"scheduler", "tokenizer", "tokenizer_2", "tokenizer_3", "feature_extractor", "image_processor", "processor"})
"""Components of a pipeline that have no weights."""


@dataclass(frozen=True)
class Found:
    """What is at a path. ``layout`` is None where no table fits, and ``family`` empty where nothing runs it yet."""

    path: Path
    kind: str
    layout: Layout | None
    family: str
    title: str
    prediction: str
    dtype: str
    parameters: int
    nbytes: int
    files: tuple[Path, ...]
    licence: str = ""
    metadata: Mapping[str, str] | None = None

    @property
    def runs(self) -> str:
        """By what it is run."""
        if self.layout is None or not self.family:
            return ""
        return self.layout.runs


def examine(path: Path, layouts: Layouts) -> Found:
    """What the file or directory is; ModelError says in a sentence why it is nothing that Gesso can use, and what to do."""
    try:
        if path.is_dir():
            return _directory(path, layouts)
        if path.is_file():
            return _single(path, layouts)
    except OSError as fault:
        raise ModelError(f"{path} cannot be read: {fault.strerror}.") from fault
    if path.is_symlink():
        raise ModelError(
            f"{path} is a link to {path.readlink()}, where nothing is.", hint="Point the link at the file again, or add the file itself."
        )
    raise ModelError(
        f"There is nothing at {path}.", field="path", hint="Name a .safetensors file, a diffusers directory, or a folder of models."
    )


def _single(path: Path, layouts: Layouts) -> Found:
    if path.suffix.lower() in PICKLED:
        raise ModelError(f"{path} is a pickle, which can run code and is never opened.", hint=SAFE_VERSION)
    header = read_header(path)
    layout = layouts.of_header(header)
    return _found(path, layout, [(path, header)], layout.predicts(header) if layout else "", header)


def _directory(path: Path, layouts: Layouts) -> Found:
    if (path / INDEX).is_file():
        return _pipeline(path, layouts)
    for config in ("config.json", "adapter_config.json"):
        if (path / config).is_file():
            return _component(path, read_json(path / config), path / config, layouts)
    raise ModelError(
        f"{path} is no model: it holds neither {INDEX} nor config.json.",
        field="path",
        hint="Name a .safetensors file, a diffusers directory, or a folder of models.",
    )


def _pipeline(root: Path, layouts: Layouts) -> Found:
    index = check_snapshot(root)
    kind = class_name(root / INDEX, index)
    layout = layouts.of_class(kind, components(index))
    files: list[Path] = []
    for name, component in components(index).items():
        if component in NEVER_LOADED or name in WEIGHTLESS or name.endswith("_scheduler"):
            continue
        if not (root / name).is_dir():
            raise ModelError(f"The model {root} lacks its {name.replace('_', ' ')} (the folder {name}).", hint=AGAIN)
        files += weight_files(root / name)
    prediction = layout.prediction if layout else ""
    scheduler = root / "scheduler" / "scheduler_config.json"
    if scheduler.is_file():
        prediction = str(read_json(scheduler).get("prediction_type") or prediction)
    found = _found(root, layout, [(file, read_header(file)) for file in files], prediction, None)
    return found if layout else Found(**{**vars(found), "title": f"diffusers {kind}"})


def _component(root: Path, config: Mapping[str, object], source: Path, layouts: Layouts) -> Found:
    """One network in a directory of its own: an autoencoder, a ControlNet, an adapter of peft."""
    refuse_code(root)
    weights = weight_files(root)
    headers = [(file, read_header(file)) for file in weights]
    name = class_name(source, config) if "_class_name" in config else ""
    layout = layouts.of_class(name) if name else layouts.of_header(headers[0][1])
    return _found(root, layout, headers, layout.prediction if layout else "", None)


def _found(path: Path, layout: Layout | None, headers: list[tuple[Path, Header]], prediction: str, single: Header | None) -> Found:
    dtypes = [header.dtype for _, header in sorted(headers, key=lambda item: -item[1].nbytes())]
    words = single.metadata if single else {}
    return Found(
        path=path,
        kind=layout.kind if layout else "",
        layout=layout,
        family=layout.family if layout else "",
        title=layout.title if layout else "",
        prediction=prediction,
        dtype=dtypes[0] if dtypes else "",
        parameters=sum(header.parameters for _, header in headers),
        nbytes=sum(header.nbytes() for _, header in headers),
        files=tuple(file for file, _ in headers),
        licence=_licence(path, words),
        metadata=words,
    )


def _licence(path: Path, words: Mapping[str, str]) -> str:
    """As the file's metadata or the directory's README states it; empty where neither does."""
    said = words.get("modelspec.license") or words.get("license") or ""
    readme = path / "README.md"
    if not said and path.is_dir() and readme.is_file():
        for line in readme.read_text(encoding="utf-8", errors="replace")[:20_000].splitlines()[:60]:
            if line.startswith(("license:", "license_name:")):
                said = line.partition(":")[2].strip()
    return said[:200]
