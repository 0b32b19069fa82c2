"""The forward pass: rows of tokens in, what a reader takes out of the pass; nothing else is computed or kept."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch.utils.hooks import RemovableHandle
from transformers.cache_utils import Cache, DynamicCache

from oneword.engine.pooling import Pool
from oneword.engine.prefix import PrefixCache
from oneword.engine.steering import SteeringPoint
from oneword.engine.tokens import Span
from oneword.errors import ModelError
from oneword.method import Pooling
from oneword.models.backbone import Backbone


class _DeepEnough(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass where nothing more is read."""


Captured = dict[int, torch.Tensor]


class Reader(Protocol):
    """Takes something out of a forward pass, by hooks that always go afterwards."""

    pooling: Pooling

    def reading(self, pool: Pool) -> AbstractContextManager[Captured]:
        """The hooks for one batch; what they capture is complete when the pass has ended."""

    def collect(self, captured: Captured, final: torch.Tensor | None) -> torch.Tensor:
        """What was read, (rows, layers, d); ``final`` is what the pass ended with, None where it ended early."""


class Forward:
    """Runs a backbone on rows of tokens.

    Rows are padded on the right. Where attention is causal no row sees its padding, no padding mask is needed, and
    without one kernels take their fast paths; other models get one.

    Args:
        backbone: the loaded model.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._alone = threading.Lock()  # the hooks of one pass must not see another's
        takes = inspect.signature(backbone.model.forward).parameters
        self._takes_positions = backbone.causal and "position_ids" in takes

    @torch.inference_mode()
    def prefix_cache(self, ids: Sequence[int], reader: Reader) -> PrefixCache:
        """Keys and values of a prefix, of the blocks that the reader needs."""
        # Without a config the cache keeps the whole prefix even in blocks with a sliding window
        cache = DynamicCache()
        pool = Pool([(0, len(ids))], "last_token", self._backbone.device)
        with self._alone, reader.reading(pool):
            self._run([ids], 0, cache)
        return PrefixCache([(layer.keys, layer.values) for layer in cache.layers])

    @torch.inference_mode()
    def read(
        self,
        rows: Sequence[Sequence[int]],
        spans: Sequence[Span],
        reader: Reader,
        prefix: PrefixCache | None = None,
        steering: Callable[[Pool], AbstractContextManager[None]] | None = None,
    ) -> torch.Tensor:
        """What the reader takes of each row.

        Args:
            rows: token ids of each row; those that ``prefix`` holds left out.
            spans: the tokens of each row that are read, counted without the prefix.
            reader: what is taken.
            prefix: what every row begins with, or None.
            steering: the hooks that change the pass, if any.

        Returns:
            float32 tensor (rows, layers, d) on the CPU.
        """
        return self._read(rows, spans, reader, prefix, steering)

    @torch.inference_mode()
    def read_and_keep(
        self, rows: Sequence[Sequence[int]], spans: Sequence[Span], reader: Reader, prefix: PrefixCache | None = None
    ) -> tuple[torch.Tensor, PrefixCache]:
        """What the reader takes of each row, and the keys and values of all its tokens but the last.

        With those, the last tokens can be run again and again; no other token sees them.

        Args:
            rows: as in :meth:`read`, all of one length.
            spans: as in :meth:`read`.
            reader: what is taken; blocks after those it needs have no keys and values.
            prefix: what every row begins with, or None.

        Returns:
            float32 tensor (rows, layers, d) on the CPU, and a cache of each row's own prefix.
        """
        cache = prefix.growing(len(rows)) if prefix is not None else DynamicCache()
        answer = self._read(rows, spans, reader, cache)
        return answer, PrefixCache([(layer.keys[:, :, :-1], layer.values[:, :, :-1]) for layer in cache.layers])

    def _read(
        self,
        rows: Sequence[Sequence[int]],
        spans: Sequence[Span],
        reader: Reader,
        cache: Cache | None,
        steering: Callable[[Pool], AbstractContextManager[None]] | None = None,
    ) -> torch.Tensor:
        pool = Pool(spans, reader.pooling, self._backbone.device)
        # What is steered is changed before it is read
        changed = steering(pool) if steering is not None else nullcontext()
        with self._alone, changed, reader.reading(pool) as captured:
            output = self._run(rows, cache.get_seq_length() if cache is not None else 0, cache)
        return reader.collect(captured, None if output is None else pool(output)).float().cpu()

    def _run(self, rows: Sequence[Sequence[int]], past: int, cache: Cache | None) -> torch.Tensor | None:
        """The states after the final norm, or None where the pass ended before."""
        device = self._backbone.device
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows], device=device)
        options: dict[str, Any] = {}
        if self._backbone.causal:
            options = {"past_key_values": cache, "use_cache": cache is not None}
        else:
            lengths = torch.tensor([len(row) for row in rows], device=device)
            options["attention_mask"] = (torch.arange(longest, device=device)[None] < lengths[:, None]).long()
        if self._takes_positions:
            options["position_ids"] = torch.arange(past, past + longest, device=device)[None]
        try:
            output: torch.Tensor = self._backbone.model(input_ids=ids, **options)[0]
        except _DeepEnough:
            return None
        return output


class LayerReader:
    """Reads layers, and ends the pass at the deepest of them.

    Args:
        backbone: the loaded model.
        layers: indices into ``hidden_states``, 0 to depth; no deeper than the blocks that are loaded.
        pooling: whose states are read.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[int], pooling: Pooling = "last_token") -> None:
        self._backbone = backbone
        self._layers = list(layers)
        self.pooling: Pooling = pooling

    @contextmanager
    def reading(self, pool: Pool) -> Iterator[Captured]:
        """The hooks for one batch."""
        captured: Captured = {}
        hooks: list[RemovableHandle] = []

        def keep(layer: int, states: torch.Tensor) -> None:
            captured[layer] = pool(states)
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

    def collect(self, captured: Captured, final: torch.Tensor | None) -> torch.Tensor:
        """The layers in their order; ``final`` is layer L.

        Raises:
            ModelError: the layers are not of one size, as where a model projects its last states.
        """
        if final is not None:
            captured[self._backbone.depth] = final
        states = [captured[layer] for layer in self._layers]
        if len({layer.shape for layer in states}) > 1:
            raise ModelError(
                f"{self._backbone.name}: layers {self._layers} have states of different sizes; read them one by one"
            )
        return torch.stack(states, dim=1)


class PointReader:
    """Reads the last token's values at steering points, and ends the pass at the last of them, inside its block.

    Args:
        points: where; no two the same.
    """

    pooling: Pooling = "last_token"

    def __init__(self, points: Sequence[SteeringPoint]) -> None:
        self._points = points

    @contextmanager
    def reading(self, pool: Pool) -> Iterator[Captured]:
        """The hooks for one batch."""
        captured: Captured = {}

        def keep(place: int, value: torch.Tensor) -> torch.Tensor:
            captured[place] = pool(value)
            if len(captured) == len(self._points):
                raise _DeepEnough
            return value

        with ExitStack() as hooks:
            for place, point in enumerate(self._points):
                hooks.enter_context(point.hooked(len(pool.last), partial(keep, place)))
            yield captured

    def collect(self, captured: Captured, final: torch.Tensor | None) -> torch.Tensor:
        """The values, (rows, 1, size): those of all points side by side, in their order."""
        return torch.cat([captured[place] for place in range(len(self._points))], dim=-1)[:, None]
