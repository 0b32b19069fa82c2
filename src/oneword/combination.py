"""How the vectors of a method's prompts become one."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from oneword.method import Combine


def combine_answers(answers: Iterable[torch.Tensor], how: Combine) -> torch.Tensor:
    """Prompts' answers, each (..., d), to one tensor: their mean, their maximum, or all of them, (..., prompts x d).

    Answers are taken one by one; for a mean or a maximum no two lie in memory longer than they must.
    """
    if how == "concat":
        return torch.cat(list(answers), dim=-1)
    combined: torch.Tensor | None = None
    count = 0
    for answer in answers:
        count += 1
        if combined is None:
            combined = answer.clone()
        elif how == "max":
            torch.maximum(combined, answer, out=combined)
        else:
            combined += answer
    assert combined is not None, "no prompts"
    return combined / count if how == "mean" else combined
