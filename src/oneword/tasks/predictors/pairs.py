"""Single texts or pairs: a predictor is refused those that it does not answer for."""

from __future__ import annotations

from collections.abc import Sequence

from oneword.errors import InputError


def check_pairs(name: str, takes_pairs: bool | None, text_pairs: Sequence[str] | None) -> None:
    """Refuse single texts where pairs are needed, and pairs where single texts are.

    Args:
        name: what messages call the predictor.
        takes_pairs: whether it answers for pairs; None where it answers for either.
        text_pairs: what it was given.

    Raises:
        InputError: it is the wrong kind.
    """
    if takes_pairs is True and text_pairs is None:
        raise InputError(
            f"{name} answers for pairs of texts and was given single ones; name a pool with a text_pair column, or "
            "pair its texts with --pair-texts (Pool.paired())"
        )
    if takes_pairs is False and text_pairs is not None:
        raise InputError(
            f"{name} answers for single texts and was given pairs; name a pool without a text_pair column, or use a "
            "predictor of pairs"
        )
