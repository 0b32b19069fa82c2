"""The forward pass: rows of tokens in, what a reader takes out of the pass; nothing else is computed or kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch.utils.hooks import RemovableHandle
from transformers.cache_utils import Cache, DynamicCache

from oneword.engine.kernels import longest_packed
from oneword.engine.options import EVERYTHING, EngineOptions
from oneword.engine.packed import NextToken, PackedPass, PackedRows, attending, attention_configs
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
    """Takes something out of a forward pass, by hooks that always go afterwards.

    Attributes:
        pooling: whose states are read.
        last_block: the deepest block that is needed, as a number from 1; 0 for none.
        inside: whether the pass ends at that block's attention value outputs.
        narrows: whether in that block only the tokens that are read go on after their keys and values.
    """

    pooling: Pooling
    last_block: int
    inside: bool
    narrows: bool

    def reading(self, pool: Pool) -> AbstractContextManager[Captured]:
        """The hooks for one batch; what they capture is complete when the pass has ended."""

    def collect(self, captured: Captured, final: torch.Tensor | None, pool: Pool) -> torch.Tensor:
        """What was read, (rows, layers, d); ``final`` is what the pass ended with, None where it ended early."""


class Forward:
    """Runs a backbone on rows of tokens, padded on the right or packed.

    Where attention is causal no row sees its padding, no padding mask is needed, and without one kernels take their
    fast paths; other models get one. Packed rows have no padding at all; see :mod:`oneword.engine.packed`.

    Args:
        backbone: the loaded model.
        options: which of the engine's ideas are in use.
    """

    def __init__(self, backbone: Backbone, options: EngineOptions = EVERYTHING) -> None:
        self._backbone = backbone
        self.options = options
        self._configs = attention_configs(backbone.model)
        takes = inspect.signature(backbone.model.forward).parameters
        self._takes_positions = backbone.causal and "position_ids" in takes

    @property
    def longest_packed(self) -> int | None:
        """The longest row, without its prefix, that is worth packing; None where all are."""
        return longest_packed(self._backbone.device, self._backbone.model.dtype)

    def narrows(self, reader: Reader) -> bool:
        """Whether in the reader's last block, tokens of packed rows that are not read end at their keys and values."""
        last_only = reader.pooling in ("last_token", "mask_token")
        return self.options.last_rows_only and reader.narrows and last_only and reader.last_block > 0

    @torch.inference_mode()
    def prefix_cache(self, ids: Sequence[int], reader: Reader) -> PrefixCache:
        """Keys and values of a prefix, of the blocks that the reader needs."""
        # Without a config the cache keeps the whole prefix even in blocks with a sliding window
        cache = DynamicCache()
        pool = Pool([(0, len(ids))], [0], "last_token", self._backbone.device)
        with self._backbone.alone, reader.reading(pool):
            self._run_padded([ids], 0, cache)
        return PrefixCache([(layer.keys, layer.values) for layer in cache.layers])

    @torch.inference_mode()
    def read(
        self,
        rows: Sequence[Sequence[int]],
        spans: Sequence[Span],
        reader: Reader,
        prefix: PrefixCache | None = None,
        steering: Callable[[Pool], AbstractContextManager[None]] | None = None,
        packed: bool = False,
    ) -> torch.Tensor:
        """What the reader takes of each row.

        Args:
            rows: token ids of each row; those that ``prefix`` holds left out.
            spans: the tokens of each row that are read, counted without the prefix.
            reader: what is taken.
            prefix: what every row begins with, or None.
            steering: the hooks that change the pass, if any.
            packed: lay the rows end to end instead of padding them; only for models that are known to allow it.

        Returns:
            float32 tensor (rows, layers, d) on the model's device.
        """
        read = self._read_packed if packed else self._read_padded
        return read(rows, spans, reader, prefix, steering)

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
            float32 tensor (rows, layers, d) on the model's device, and a cache of each row's own prefix.
        """
        cache = prefix.growing(len(rows), len(rows[0])) if prefix is not None else DynamicCache()
        answer = self._read_padded(rows, spans, reader, cache)
        return answer, PrefixCache([(layer.keys[:, :, :-1], layer.values[:, :, :-1]) for layer in cache.layers])

    @torch.inference_mode()
    def append(self, rows: Sequence[Sequence[int]], cache: Cache) -> torch.Tensor:
        """Runs tokens behind those that a cache holds, and adds them to it.

        Args:
            rows: new token ids of each of the cache's rows, all of one length.
            cache: as of :meth:`~oneword.engine.prefix.PrefixCache.growing`; or an empty one.

        Returns:
            Tensor (rows, new, d) of their states after the final norm, on the model's device.
        """
        past, window = cache.get_seq_length(), self._backbone.sliding_window
        step = len(rows[0]) == 1 and self.options.packing and (window is None or past < window)
        with self._backbone.alone, attending(self._configs, NextToken()) if step else nullcontext():
            states = self._run_padded(rows, past, cache)
        assert states is not None, "nothing ended the pass"
        return states

    def _read_padded(
        self,
        rows: Sequence[Sequence[int]],
        spans: Sequence[Span],
        reader: Reader,
        cache: Cache | None,
        steering: Callable[[Pool], AbstractContextManager[None]] | None = None,
    ) -> torch.Tensor:
        longest = max(map(len, rows))
        starts = range(0, len(rows) * longest, longest)
        pool = Pool(spans, starts, reader.pooling, self._backbone.device)
        past = cache.get_seq_length() if cache is not None else 0
        with self._backbone.alone, self._passing(pool, reader, steering) as captured:
            output = self._run_padded(rows, past, cache)
        return reader.collect(captured, output, pool).float()

    def _read_packed(
        self,
        rows: Sequence[Sequence[int]],
        spans: Sequence[Span],
        reader: Reader,
        prefix: PrefixCache | None,
        steering: Callable[[Pool], AbstractContextManager[None]] | None = None,
    ) -> torch.Tensor:
        backbone = self._backbone
        layout = PackedRows(list(map(len, rows)), prefix.get_seq_length() if prefix is not None else 0, backbone.device)
        pool = Pool(spans, layout.starts, reader.pooling, backbone.device)
        packed = PackedPass(layout, prefix, self.options.fused_attention)
        narrowed: AbstractContextManager[None] = nullcontext()
        if self.narrows(reader):
            narrowed = packed.last_tokens_only(backbone.blocks[reader.last_block - 1], pool.last)
        ids = self._on_device([[token for row in rows for token in row]])
        options = {"position_ids": layout.positions} if self._takes_positions else {}
        with (
            backbone.alone,
            narrowed,
            attending(self._configs, packed),
            self._passing(pool, reader, steering) as captured,
        ):
            output = self._run(ids, use_cache=False, **options)
        return reader.collect(captured, output, pool).float()

    @contextmanager
    def _passing(
        self, pool: Pool, reader: Reader, steering: Callable[[Pool], AbstractContextManager[None]] | None
    ) -> Iterator[Captured]:
        """The hooks of one pass: what is steered is changed before it is read."""
        changed = steering(pool) if steering is not None else nullcontext()
        with changed, reader.reading(pool) as captured:
            yield captured

    def _run_padded(self, rows: Sequence[Sequence[int]], past: int, cache: Cache | None) -> torch.Tensor | None:
        device = self._backbone.device
        longest = max(map(len, rows))
        ids = self._on_device([[*row, *[row[-1]] * (longest - len(row))] for row in rows])
        options: dict[str, Any] = {}
        if self._backbone.causal:
            options = {"past_key_values": cache, "use_cache": cache is not None}
        else:
            lengths = torch.tensor([len(row) for row in rows], device=device)
            options["attention_mask"] = (torch.arange(longest, device=device)[None] < lengths[:, None]).long()
        if self._takes_positions:
            options["position_ids"] = torch.arange(past, past + longest, device=device)[None]
        return self._run(ids, **options)

    def _run(self, ids: torch.Tensor, **options: Any) -> torch.Tensor | None:
        """The states after the final norm, or None where the pass ended before."""
        try:
            output: torch.Tensor = self._backbone.model(input_ids=ids, **options)[0]
        except _DeepEnough:
            return None
        return output

    def _on_device(self, ids: list[list[int]]) -> torch.Tensor:
        """Token ids, sent to a GPU without waiting for it."""
        device = self._backbone.device
        if device.type != "cuda":
            return torch.tensor(ids, device=device)
        return torch.tensor(ids).pin_memory().to(device, non_blocking=True)


class LayerReader:
    """Reads layers, and ends the pass at the deepest of them.

    Args:
        backbone: the loaded model.
        layers: indices into ``hidden_states``, 0 to depth; no deeper than the blocks that are loaded.
        pooling: whose states are read.
        early_stop: whether the pass ends there; else it goes on to the end, for nothing.
    """

    inside = False
    narrows = True

    def __init__(
        self, backbone: Backbone, layers: Sequence[int], pooling: Pooling = "last_token", early_stop: bool = True
    ) -> None:
        self._backbone = backbone
        self._layers = list(layers)
        self._early_stop = early_stop
        self.pooling: Pooling = pooling
        self.last_block = max(layers) if early_stop else len(backbone.blocks)

    @contextmanager
    def reading(self, pool: Pool) -> Iterator[Captured]:
        """The hooks for one batch."""
        captured: Captured = {}
        hooks: list[RemovableHandle] = []

        def keep(layer: int, states: torch.Tensor) -> None:
            captured[layer] = pool(states)
            if layer == max(self._layers) and self._early_stop:
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

    def collect(self, captured: Captured, final: torch.Tensor | None, pool: Pool) -> torch.Tensor:
        """The layers in their order; ``final`` is layer L.

        Raises:
            ModelError: the layers are not of one size, as where a model projects its last states.
        """
        if final is not None:
            captured[self._backbone.depth] = pool(final)
        # The blocks of a large model may be on several GPUs
        states = [captured[layer].to(self._backbone.device) for layer in self._layers]
        if len({layer.shape for layer in states}) > 1:
            raise ModelError(
                f"{self._backbone.name}: layers {self._layers} have states of different sizes; read them one by one"
            )
        return torch.stack(states, dim=1)


class TokenReader:
    """Reads the last layer of every token of the rows' spans, all rows end to end: (tokens, 1, d).

    Args:
        backbone: the loaded model, with all its blocks.
    """

    pooling: Pooling = "mean"  # which goes by every token of a span
    inside = False
    narrows = False

    def __init__(self, backbone: Backbone) -> None:
        self.last_block = len(backbone.blocks)

    @contextmanager
    def reading(self, pool: Pool) -> Iterator[Captured]:
        """No hooks: the states are what the pass ends with."""
        yield {}

    def collect(self, captured: Captured, final: torch.Tensor | None, pool: Pool) -> torch.Tensor:
        """The states, (tokens, 1, d)."""
        assert final is not None, "nothing ended the pass"
        return pool.every(final)[:, None]


class PointReader:
    """Reads the last token's values at steering points, and ends the pass at the last of them, inside its block.

    Args:
        points: where; no two the same.
    """

    pooling: Pooling = "last_token"
    # All tokens run to the end, as they do in the pass that is steered: sums of other shapes are rounded otherwise, and
    # where nothing is left of a difference, nothing must be found
    narrows = False

    def __init__(self, points: Sequence[SteeringPoint]) -> None:
        self._points = points
        self.last_block = max(point.place[0] for point in points)
        self.inside = all(
            point.place[1] == "attention_value_output" for point in points if point.place[0] == self.last_block
        )

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
                hooks.enter_context(point.hooked(partial(keep, place)))
            yield captured

    def collect(self, captured: Captured, final: torch.Tensor | None, pool: Pool) -> torch.Tensor:
        """The values, (rows, 1, size): those of all points side by side, in their order."""
        device = captured[0].device
        return torch.cat([captured[place].to(device) for place in range(len(self._points))], dim=-1)[:, None]
