"""How a token is drawn from what a model says of the next one. It draws no random number: that is the caller's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenChoice:
    """temperature: logits are divided by it; 0 takes the likeliest. top_k: only so many of the likeliest count (None: all). top_p: of
    those only the likeliest that together have this probability (Holtzman et al. 2020, arXiv 1904.09751, section 3.1); 1: all.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def draw(self, logits: Tensor, u: float) -> tuple[int, float]:
        """The token at ``u`` (0 <= u < 1) of the distribution whose ``logits`` are (V,), the likeliest first and of equal ones the earlier;
        and its log-probability, which neither temperature nor cuts change. ValueError for logits that are not finite.
        """
        values = logits.detach().to("cpu", torch.float64)
        if not bool(values.isfinite().all()):
            raise ValueError("NaN or infinite numbers among the logits")
        order = values.argsort(descending=True, stable=True)[: self.top_k]
        place = 0
        if self.temperature > 0:
            shares = (values[order] / self.temperature).softmax(0)
            before = shares.cumsum(0) - shares
            shares = shares[before < self.top_p]  # the one that passes top_p still counts
            whole = shares.cumsum(0)
            place = min(int(torch.searchsorted(whole, u * float(whole[-1]), right=True)), len(shares) - 1)
        token = int(order[place])
        return token, float(values.log_softmax(0)[token])
