"""Words that may not be asked for on this machine, as its owner lists them. It judges words, not pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gesso.errors import PluginError, Refused
from gesso.plugin import RequestContext, request_filter

ACTIONS = ("refuse", "flag")


@request_filter("blocked_words", title="Blocked words")
def blocked_words(ctx: RequestContext) -> Mapping[str, Any] | None:
    """Looks at the prompt, whole words, in any case; the negative prompt may name what it likes."""
    words = ctx.options.get("blocked_words", [])
    action = ctx.options.get("blocked_words_action", "refuse")
    if not (isinstance(words, list) and all(isinstance(word, str) and word.strip() for word in words)) or action not in ACTIONS:
        raise PluginError("In config.toml, plugins.filters needs blocked_words = [texts] and blocked_words_action = refuse or flag.")
    prompt = ctx.params.get("prompt")
    found = [word for word in words if isinstance(prompt, str) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", prompt, re.IGNORECASE)]
    if found and action == "refuse":
        raise Refused(
            f"The word {found[0]!r} may not be asked for here.", field="prompt", hint="The owner of this Gesso blocks it in config.toml."
        )
    if found:
        ctx.warn(f"The prompt has words that the owner watches: {', '.join(found)}.")
    return None
