"""The forward pass: rows of tokens in, hidden states of their last tokens out; nothing else is computed or kept."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle
from transformers.cache_utils import DynamicCache

from oneword.engine.prefix import PrefixCache
from oneword.errors import ModelError
from oneword.models.backbone import Backbone


class _DeepEnough(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass at the deepest layer that is read."""


class Forward:
    """Computes last-token states at some layers of a backbone.

    Rows are padded on the right and read at their last token. Attention is causal, so no row sees its padding and no
    padding mask is needed; without one, kernels take their fast paths.

    Args:
        backbone: the loaded model.
        layers: indices into ``hidden_states``, 0 to depth; no deeper than the blocks that are loaded.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[int]) -> None:
        self._backbone = backbone
        self._layers = list(layers)
        self._alone = threading.Lock()  # the hooks of one pass must not see another's
        self._takes_positions = "position_ids" in inspect.signature(backbone.model.forward).parameters

    def width(self) -> int:
        """Size of a hidden state (d) at these layers, seen on one token."""
        return self.states([[0]]).shape[-1]

    @torch.inference_mode()
    def prefix_cache(self, ids: Sequence[int]) -> PrefixCache:
        """Keys and values of a prefix at every loaded block."""
        # Without a config the cache keeps the whole prefix even in blocks with a sliding window
        cache = DynamicCache()
        with self._alone:
            self._run(self._tensor([ids]), 0, cache)
        return PrefixCache([(layer.keys, layer.values) for layer in cache.layers])

    @torch.inference_mode()
    def states(self, rows: Sequence[Sequence[int]], prefix: PrefixCache | None = None) -> torch.Tensor:
        """Hidden states of the rows' last tokens.

        Args:
            rows: token ids of each row; those that ``prefix`` holds left out.
            prefix: what every row begins with, or None.

        Returns:
            float32 tensor (rows, layers, d) on the CPU.

        Raises:
            ModelError: the layers are not of one size, as where a model projects its last states.
        """
        ids = self._tensor(rows)
        last = torch.tensor([len(row) - 1 for row in rows], device=ids.device)
        with self._alone, self._capture(last) as captured:
            output = self._run(ids, prefix.get_seq_length() if prefix is not None else 0, prefix)
        if output is not None:
            captured[self._backbone.depth] = _at(output, last)
        states = [captured[layer] for layer in self._layers]
        if len({layer.shape for layer in states}) > 1:
            raise ModelError(
                f"{self._backbone.name}: layers {self._layers} have states of different sizes; read them one by one"
            )
        return torch.stack(states, dim=1).float().cpu()

    def _tensor(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, rows))
        padded = [[*row, *[row[-1]] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=self._backbone.device)

    def _run(self, ids: torch.Tensor, past: int, cache: Any) -> torch.Tensor | None:
        """The states after the final norm, or None where the pass ended at the deepest layer that is read."""
        options: dict[str, Any] = {"past_key_values": cache, "use_cache": cache is not None}
        if self._takes_positions:
            options["position_ids"] = torch.arange(past, past + ids.shape[1], device=ids.device)[None]
        try:
            output: torch.Tensor = self._backbone.model(input_ids=ids, **options)[0]
        except _DeepEnough:
            return None
        return output

    @contextmanager
    def _capture(self, last: torch.Tensor) -> Iterator[dict[int, torch.Tensor]]:
        """Within the block, blocks leave their last-token states, by layer; the hooks always go afterwards."""
        captured: dict[int, torch.Tensor] = {}
        hooks: list[RemovableHandle] = []

        def keep(layer: int, states: torch.Tensor) -> None:
            captured[layer] = _at(states, last)
            if layer == max(self._layers):
                raise _DeepEnough

        def read_input(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            keep(0, args[0] if args else kwargs["hidden_states"])

        def read_output(layer: int) -> Any:
            return lambda module, args, output: keep(layer, output[0] if isinstance(output, tuple) else output)

        blocks = self._backbone.blocks
        try:
            for layer in set(self._layers):
                if layer == 0:
                    hooks.append(blocks[0].register_forward_pre_hook(read_input, with_kwargs=True))
                elif layer < self._backbone.depth:
                    hooks.append(blocks[layer - 1].register_forward_hook(read_output(layer)))
            yield captured
        finally:
            for handle in hooks:
                handle.remove()


def _at(states: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Row by row, the state at that row's last token: (rows, tokens, d) to (rows, d)."""
    return states[torch.arange(len(last), device=states.device), last.to(states.device)]
