"""Generate several textures at once with asyncio, following one of them. Run it: python examples/generate_async.py [FOLDER]."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gesso.client.aio import AsyncClient

PROMPTS = ("red brick wall", "polished oak planks", "rusty iron plate")


async def main(folder: Path) -> list[Path]:
    """Make one picture of each prompt in ``folder``."""
    async with AsyncClient() as gesso:
        jobs = [await gesso.submit("generate", prompt=prompt, model="procedural", width=128, height=128, seed=1) for prompt in PROMPTS]
        async for event in jobs[0]:
            print(type(event).__name__, event.seq)
        results = await asyncio.gather(*(job.result() for job in jobs))
        names = [f"{prompt.replace(' ', '-')}.png" for prompt in PROMPTS]
        return [result.images[0].save(folder / name) for result, name in zip(results, names, strict=True)]


if __name__ == "__main__":
    for path in asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))):
        print(path)
