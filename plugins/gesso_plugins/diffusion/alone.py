"""Networks that lie alone, as a directory of diffusers or as one file, and go with a model for one job: how they are described and held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import ModelCard
from gesso_plugins.diffusion.files import digest, file_digest, read_header, read_json, weight_files
from gesso_plugins.diffusion.source import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gesso.model import Patch


_LOOKED_AT = 4
"""Pictures of which what was made is kept."""


class AloneFamily(ABC):
    """One kind of such networks. ``classes``: those of diffusers that it runs; ``title``: what people call it."""

    name: str
    title: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    capabilities: ClassVar[frozenset[str]]

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from settings and headers alone."""
        path = entry.path
        if path is None or not path.exists():
            raise ModelError(f"The {self.title} {entry.name!r} is not there: {path}.", hint="Add it again with `gesso models add`.")
        files = self.files(path)
        settings = self.settings(path)
        for file in files:
            read_header(file)
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=_digest(path, files),
            title=entry.title,
            path=path,
            capabilities=self.capabilities,
            licence=entry.licence,
            info={"bytes": str(sum(file.stat().st_size for file in files))},
            base=self.base(settings),
        )

    def files(self, path: Path) -> list[Path]:
        """Those that hold weights."""
        return weight_files(path) if path.is_dir() else [path]

    def settings(self, path: Path) -> dict[str, Any]:
        """From ``config.json`` of a directory, else read off a file."""
        if not path.is_dir():
            return self.file_settings(path)
        settings = read_json(path / "config.json")
        if settings.get("_class_name") not in self.classes:
            wanted = " and ".join(repr(name) for name in self.classes)
            raise ModelError(f"{path} is a {settings.get('_class_name')!r}; this family runs {wanted}.", hint=f"Use another {self.title}.")
        return settings

    @abstractmethod
    def file_settings(self, path: Path) -> dict[str, Any]:
        """Read off the shapes of a file."""

    def base(self, settings: Mapping[str, Any]) -> str:  # noqa: ARG002
        """What it was made for, where its settings tell."""
        return ""

    def tensors(self, path: Path, device: torch.device) -> dict[str, Tensor]:
        """All weights, under the names of diffusers."""
        read = {key: value for file in self.files(path) for key, value in read_tensors(file, device).items()}
        return read if path.is_dir() else self.file_tensors(path, read)

    @abstractmethod
    def file_tensors(self, path: Path, read: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of a file, renamed."""


def _digest(path: Path, files: list[Path]) -> str:
    if path.is_dir():
        return digest(path, [*files, path / "config.json"])
    return file_digest(path) if len(files) == 1 else digest(path.parent, files)


class Alone:
    """One such network as a source of components."""

    def __init__(self, family: AloneFamily, path: Path) -> None:
        self.path = path
        self._family = family

    def settings(self, component: str) -> dict[str, Any]:  # noqa: ARG002  (there is one)
        """Of the one component."""
        return self._family.settings(self.path)

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:  # noqa: ARG002
        """Of the one component."""
        return self._family.tensors(self.path, device)


class Loaded:
    """A loaded network that goes with a model, and takes no patches of its own. ``title``: what people call its kind."""

    def __init__(self, card: ModelCard, network: Any, title: str) -> None:
        self.card = card
        self.network: nn.Module = network
        self._title = title

    @property
    def nbytes(self) -> int:
        """Of all weights."""
        return sum(p.numel() * p.element_size() for p in self.network.parameters())

    @contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """It takes none."""
        if patches:
            raise InvalidRequest(f"The {self._title} {self.card.name!r} takes no patches.")
        yield


class Steers(Loaded):
    """One that steers a base: a base asks it for what to add, by `steer`."""

    def __init__(self, card: ModelCard, network: Any, title: str) -> None:
        super().__init__(card, network, title)
        self._run = network
        self._dtype = next(network.parameters()).dtype
        self._made: deque[tuple[Tensor, Any]] = deque(maxlen=_LOOKED_AT)

    def of(self, picture: Tensor, make: Callable[[], Any]) -> Any:
        """What ``make`` makes of a picture, made once: the engine shows the same tensor at every step of a job."""
        for shown, made in self._made:
            if shown is picture:
                return made
        made = make()
        self._made.append((picture, made))
        return made

    def unfit(self) -> InvalidRequest:
        """Made for another base than it was asked to steer."""
        made_for = f" ({self.card.base})" if self.card.base else ""
        return InvalidRequest(
            f"The {self._title} {self.card.name!r} was made for another base{made_for} than the model of this job.",
            field="control",
            hint="Leave it out, or use a model that it was made for.",
        )
