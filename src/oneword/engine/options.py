"""Which of the engine's ideas are in use.  Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """The engine's ideas, all in use; leaving one out changes the time and not the vectors.

    Args:
        shared_prefix: what all rows of a prompt begin with runs through the model once.
        early_stop: the pass ends at the deepest layer that is read.
        packing: rows are laid end to end without padding, where the architecture is known to allow it.
        last_rows_only: in the last block, only the tokens that are read go on after their keys and values.
        fused_attention: long rows take a flash attention kernel; without, all rows take plain matrix products.
        laid_out_weights: on a CPU, bfloat16 weights are laid out for its matrix kernels when they are loaded.
        shared_auxiliary: the auxiliary prompt of a steered method is asked once a text, not once a prompt.
    """

    shared_prefix: bool = True
    early_stop: bool = True
    packing: bool = True
    last_rows_only: bool = True
    fused_attention: bool = True
    laid_out_weights: bool = True
    shared_auxiliary: bool = True


EVERYTHING = EngineOptions()
