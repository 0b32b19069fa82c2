"""A method's answers under many steerings at once, at the cost of a few: all but the last token is computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch

from oneword.engine.answers import for_layers, memory_errors, prompt_encoder
from oneword.engine.batches import Batch, plan_equal_batches
from oneword.engine.encoder import PromptEncoder, SharingRows
from oneword.engine.forward import Forward, LayerReader, PointReader
from oneword.engine.options import EngineOptions
from oneword.engine.pooling import Pool
from oneword.engine.steering import Auxiliary, SteeringPoint
from oneword.errors import MethodError, ModelError
from oneword.method import Method
from oneword.models.backbone import Backbone
from oneword.prompt import Prompt
from oneword.steering import Steering

# The keys and values of all blocks are kept for a batch, so that it holds this part of the tokens that others do
_KEPT = 4


class GridEncoder:
    """Asks all prompts of one method without steering and under each of many steerings.

    Steering changes the last token alone, which no other token sees. So each row runs once as it is, and the keys and
    values of its other tokens are kept; its last token then runs behind them for every steering, as many steerings at a
    time as a batch can hold. An auxiliary prompt is asked once of each text, for all the steerings that have it.

    Args:
        backbone: the loaded model, a decoder.
        method: its own steering is left out.
        steerings: the grid.
        layers: indices into ``hidden_states`` that are read. Those below the block that is steered are as without.
        options: which of the engine's ideas are in use. Without a shared prefix every row runs in full for every
            steering.

    Raises:
        ModelError: a model that cannot be steered so.
        MethodError: a block that the model does not have, or that no layer comes after; another pooling than
            ``"last_token"``.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: Method,
        steerings: Sequence[Steering],
        layers: Sequence[int],
        options: EngineOptions,
    ) -> None:
        if not backbone.causal:
            raise ModelError(
                f"{backbone.name} ({backbone.model_type}) cannot be steered: its tokens see those after them"
            )
        if method.pooling != "last_token":
            raise MethodError(
                f"method '{method.name}': steering changes the last token; pooling cannot be {method.pooling}"
            )
        self.steerings = [steering.resolved(backbone.depth) for steering in steerings]
        for steering in self.steerings:
            if int(steering.layer) > max(layers):
                raise MethodError(
                    f"steering changes block {steering.layer}, which layer {max(layers)} does not see; read layer "
                    f"{steering.layer} or a later one"
                )
        self._forward = Forward(backbone, for_layers(options, layers))
        self._reader = LayerReader(backbone, layers)
        asking = partial(prompt_encoder, backbone, self._forward, method.cleaning)
        self._encoders = [asking(prompt, self._reader) for prompt in method.asked]
        self._points = [SteeringPoint(backbone, steering) for steering in self.steerings]
        points: dict[Prompt, list[SteeringPoint]] = defaultdict(list)
        for steering, point in zip(self.steerings, self._points):
            points[steering.auxiliary_prompt].append(point)
        self._auxiliaries = [
            _AuxiliaryPrompt(self._forward, points_of, partial(asking, prompt)) for prompt, points_of in points.items()
        ]

    def __len__(self) -> int:
        """How many of the method's prompts are asked of every text."""
        return len(self._encoders)

    @property
    def passes(self) -> int:
        """How many prompts are asked of every text, the auxiliary ones included."""
        return len(self) + len(self._auxiliaries)

    def answers(
        self, texts: Sequence[str], token_budget: int, on_rows: Callable[[int], None] = lambda rows: None
    ) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """Each prompt's answers, one prompt after the other.

        Args:
            texts: a few hundred texts that are not empty: their answers lie in memory all together.
            token_budget: the most tokens of one batch.
            on_rows: told after each batch how many rows it held; a row is one text in one prompt.

        Yields:
            float32 tensor (1 + steerings, texts, layers, d), first without steering; and the indices of the texts cut
            to the window.

        Raises:
            InputError: not enough memory.
        """
        with memory_errors():
            seen: dict[SteeringPoint, Auxiliary] = {}
            cut: set[int] = set()
            for prompt in self._auxiliaries:
                seen_here, cut_here = prompt.seen(texts, token_budget, on_rows)
                seen.update(seen_here)
                cut.update(cut_here)
            auxiliaries = [seen[point] for point in self._points]
            for encoder in self._encoders:
                rows = encoder.rows(texts)
                answers: torch.Tensor | None = None
                for batch in plan_equal_batches(list(map(len, rows.ids)), rows.prefixes, token_budget // _KEPT):
                    answer = self._answer(encoder, rows, batch, auxiliaries, token_budget)
                    if answers is None:
                        answers = torch.empty(len(answer), len(texts), *answer.shape[2:])
                    answers[:, batch.rows] = answer.cpu()
                    on_rows(len(batch.rows))
                assert answers is not None, "no texts"
                yield answers, sorted({*cut, *rows.cut})

    def _answer(
        self,
        encoder: PromptEncoder,
        rows: SharingRows,
        batch: Batch,
        auxiliaries: Sequence[Auxiliary],
        token_budget: int,
    ) -> torch.Tensor:
        """One batch, (1 + steerings, rows, layers, d)."""
        ids, spans = rows.after_prefix(batch)
        prefix = encoder.prefix(batch.prefix)
        if not self._forward.options.shared_prefix:
            hooks = [None, *(partial(auxiliary.steering, batch.rows) for auxiliary in auxiliaries)]
            return torch.stack([self._forward.read(ids, spans, self._reader, prefix, steering) for steering in hooks])
        plain, before_last = self._forward.read_and_keep(ids, spans, self._reader, prefix)
        found = [plain]
        last = [row[-1:] for row in ids]
        at_once = max(1, token_budget // len(rows.ids[batch.rows[0]]) // len(last))
        for start in range(0, len(auxiliaries), at_once):
            some = auxiliaries[start : start + at_once]
            steering = partial(_steered_in_turn, some, batch.rows)
            spans = [(0, 1)] * len(last) * len(some)
            found.append(self._forward.read(last * len(some), spans, self._reader, before_last, steering))
        return torch.cat(found).view(-1, *plain.shape)


class _AuxiliaryPrompt:
    """One auxiliary prompt: what it sees at the points of all steerings that have it, read in one pass.

    Args:
        forward: the model's forward pass.
        points: those of the steerings; several may be at one place.
        asking: gives the encoder of the prompt for a reader.
    """

    def __init__(
        self, forward: Forward, points: Sequence[SteeringPoint], asking: Callable[[PointReader], PromptEncoder]
    ) -> None:
        self._points = points
        places = {point.place: point for point in points}
        self._encoder = asking(PointReader(list(places.values())))
        self._sizes = {
            place: forward.read([[0]], [(0, 1)], PointReader([point])).shape[-1] for place, point in places.items()
        }

    def seen(
        self, texts: Sequence[str], token_budget: int, on_rows: Callable[[int], None]
    ) -> tuple[dict[SteeringPoint, Auxiliary], list[int]]:
        """What steers these texts at each point, and the indices of the texts cut to the window."""
        rows = self._encoder.rows(texts)
        values = self._encoder.encode(rows, token_budget, on_rows=on_rows)
        at_places = dict(zip(self._sizes, torch.split(values[:, 0], list(self._sizes.values()), dim=-1)))
        return {point: Auxiliary(point, at_places[point.place]) for point in self._points}, rows.cut


@contextmanager
def _steered_in_turn(auxiliaries: Sequence[Auxiliary], texts: Sequence[int], pool: Pool) -> Iterator[None]:
    """The hooks for a batch that holds these texts once for each steering, one steering after the other."""
    with ExitStack() as hooks:
        for place, auxiliary in enumerate(auxiliaries):
            hooks.enter_context(auxiliary.steering(texts, pool, place * len(texts)))
        yield
