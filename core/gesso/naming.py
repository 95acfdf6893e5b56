"""How names that users write are compared, and how one name that means a sampler and a schedule is read. It knows no names itself."""

from __future__ import annotations

from collections.abc import Iterator


def folded(name: str) -> str:
    """A name as it is compared: case and runs of spaces do not count."""
    return " ".join(name.casefold().split())


def readings(label: str) -> Iterator[tuple[str, str]]:
    """The (sampler, schedule) that a label may mean: AUTOMATIC1111's "DPM++ 2M Karras", cut at each space, and InvokeAI's `dpmpp_2m_k`."""
    whole = folded(label)
    words = whole.split(" ")
    for cut in range(1, len(words)):
        yield " ".join(words[:cut]), " ".join(words[cut:])
    if whole.endswith("_k"):
        yield whole.removesuffix("_k"), "karras"
