"""IP-Adapters (Ye et al. 2023, arXiv 2308.06721): a picture as a second prompt. Each cross-attention of a UNet also looks at tokens made of
the picture, with keys and values of its own, and what it finds is added. Files with ``image_proj`` and ``ip_adapter``, plain, plus and full
face; those that need a face detector are refused.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import ModelError
from gesso.manifest import ModelEntry
from gesso.model import ModelCard
from gesso_plugins.diffusion.alone import Steers
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.files import file_digest, read_header, read_json, weight_files
from gesso_plugins.diffusion.source import read_tensors
from gesso_plugins.diffusion.steering import Spoken, Steering

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_ENCODERS = ("image_encoder", "../image_encoder", "../models/image_encoder", "../clip_vision/*", "clip_vision/*")
_REMEMBERED = 8
"""Pictures whose tokens are kept, so that the encoder runs once for all jobs that show the same one."""


class IPAdapterFamily:
    """Recognises, describes and loads them."""

    name = "ip-adapter"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; base by the width of the tokens, and the image encoder that must lie near the file."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The IP-Adapter {entry.name!r} is not there: {path}.", hint="Add it again with `gesso models add`.")
        shapes = {key: shape for key, (_, shape) in read_header(path).items()}
        width = _token_width(path, shapes)
        encoder = _encoder_of(path, shapes)
        weights = weight_files(encoder)
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=hashlib.sha256("".join(file_digest(file) for file in (path, *weights)).encode()).hexdigest(),
            title=entry.title,
            path=path,
            capabilities=frozenset({"controlnet", "reference"}),
            licence=entry.licence,
            info={"bytes": str(sum(file.stat().st_size for file in (path, *weights))), "image_encoder": str(encoder)},
            base=BASES.get(width, ""),
        )

    def load(self, card: ModelCard, on: torch.device) -> IPAdapter:
        """In half precision on an accelerator."""
        from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.ip_projection import projection_of

        assert card.path is not None
        _, half = loading.places(on)
        tensors = {key: value.to(half.dtype, copy=True) for key, value in read_tensors(card.path, on).items()}
        parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for key, value in tensors.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        try:
            projection = projection_of(parts["image_proj"])
        except (RuntimeError, KeyError, IndexError, ValueError) as fault:
            raise ModelError(f"The weights of the IP-Adapter {card.path} do not fit together.", hint="Get the file again.") from fault
        encoder = CLIPVisionModelWithProjection.from_pretrained(
            card.info["image_encoder"], local_files_only=True, use_safetensors=True, dtype=half.dtype
        )
        projection, encoder = (network.to(on, half.dtype).eval().requires_grad_(False) for network in (projection, encoder))
        return IPAdapter(card, projection, encoder, _pairs(parts["ip_adapter"]))


def _token_width(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> int:
    keys = [shape for key, shape in shapes.items() if key.startswith("ip_adapter.") and key.endswith(".to_k_ip.weight")]
    other = next((key for key in shapes if not key.startswith(("image_proj.", "ip_adapter."))), None)
    if not keys or other is not None or not any(key.startswith("image_proj.") for key in shapes):
        raise ModelError(f"{path} is no IP-Adapter: it needs image_proj and ip_adapter alone.", hint="Get the .safetensors of the adapter.")
    faces = "image_proj.norm.weight" in shapes and not {"image_proj.proj.weight", "image_proj.proj.3.weight"} & set(shapes)
    if faces or "image_proj.perceiver_resampler.proj_in.weight" in shapes:
        raise ModelError(f"{path} reads faces (FaceID), by a face detector that Gesso has not.", hint="Use a plain, plus or full one.")
    return keys[0][1]


def _encoder_of(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """The directory of a CLIP vision model, near the file, whose answers are as wide as the adapter's projection reads."""
    plain = shapes.get("image_proj.proj.weight")
    reads = plain or shapes.get("image_proj.proj_in.weight") or shapes.get("image_proj.proj.0.weight") or (0, 0)
    setting = "projection_dim" if plain else "hidden_size"
    for folder in (folder for place in _ENCODERS for folder in _folders(path.parent, place)):
        if (folder / "config.json").is_file() and read_json(folder / "config.json").get(setting) == reads[1]:
            return folder.resolve()
    raise ModelError(
        f"The IP-Adapter {path} needs its image encoder: a directory of a CLIP vision model with {setting} {reads[1]}.",
        hint="Put it beside the file as image_encoder/ (config.json and model.safetensors).",
    )


def _folders(root: Path, place: str) -> list[Path]:
    return sorted((root / place.removesuffix("/*")).glob("*")) if place.endswith("/*") else [root / place]


def _pairs(weights: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Keys' and values' matrices of each cross-attention, in the order of the numbers that the file counts them with."""
    numbers = sorted({int(key.partition(".")[0]) for key in weights})
    return [(weights[f"{number}.to_k_ip.weight"], weights[f"{number}.to_v_ip.weight"]) for number in numbers]


class IPAdapter(Steers):
    """A loaded IP-Adapter: what a base's cross-attention shall hear besides."""

    def __init__(self, card: ModelCard, projection: Any, encoder: Any, pairs: list[tuple[Tensor, Tensor]]) -> None:
        import torch.nn

        super().__init__(card, torch.nn.ModuleList([projection, encoder]), "IP-Adapter")
        self.pairs = pairs
        self._projection, self._encoder = projection, encoder
        self._side = int(encoder.config.image_size)
        self._tokens: OrderedDict[bytes, tuple[Tensor, Tensor]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Of all weights."""
        return super().nbytes + sum(matrix.numel() * matrix.element_size() for pair in self.pairs for matrix in pair)

    def steer(self, inputs: Mapping[str, Any], picture: Tensor, strength: float) -> Steering:
        """Tokens for each row: of its picture, or where it is a negative prompt's, of no picture."""
        import torch

        tokens: list[tuple[Tensor, Tensor]] = self.of(picture, lambda: [self._of(row) for row in picture])
        rows = [each[0 if shown else 1] for each, shown in zip(tokens, inputs["heard"].flatten().tolist(), strict=True)]
        return Steering(spoken=Spoken(torch.cat(rows), self.pairs, strength))

    def _of(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of a picture (3, H, W), and of none: (1, n, D) each."""
        key = hashlib.blake2b(picture.to("cpu").contiguous().numpy().tobytes(), digest_size=16).digest()
        if key not in self._tokens:
            self._tokens[key] = self._encoded(picture[None])
            while len(self._tokens) > _REMEMBERED:
                self._tokens.popitem(last=False)
        self._tokens.move_to_end(key)
        return self._tokens[key]

    def _encoded(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        import torch
        from diffusers.models.embeddings import ImageProjection

        pixels = prepared(picture, self._side).to(self._dtype)
        if isinstance(self._projection, ImageProjection):
            embedding = self._encoder(pixels).image_embeds
            found, none = (self._projection(each) for each in (embedding, torch.zeros_like(embedding)))
        else:
            states = (self._encoder(each, output_hidden_states=True).hidden_states[-2] for each in (pixels, torch.zeros_like(pixels)))
            found, none = (self._projection(each) for each in states)
        return found, none


def prepared(picture: Tensor, side: int) -> Tensor:
    """(1, 3, H, W) in 0..1 -> as CLIP's vision sees it: the shorter side scaled (bicubic), the middle cut out, standardised."""
    from gesso.media.preparing import Preparing

    return Preparing(side, crop=True).seen(picture)
