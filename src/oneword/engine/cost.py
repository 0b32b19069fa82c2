"""What a method costs: blocks a text (Contrastive Prompting, Table 3), and work for given rows.  Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oneword.method import Method, resolve_layer


@dataclass(frozen=True)
class BlocksRun:
    """Whole blocks that one text runs through, all prompts taken together.

    Args:
        prompts: those of the method's prompts, each up to the layer that is read.
        auxiliary: those of the auxiliary prompt, asked once; 0 without steering.
    """

    prompts: int
    auxiliary: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompts + self.auxiliary


def blocks_run(method: Method, depth: int) -> BlocksRun:
    """What one text costs in a model of ``depth`` blocks.

    The auxiliary pass ends inside the block that is steered: before its output projection, so that it counts no whole
    block, or after its MLP.

    Raises:
        MethodError: the model has too few blocks.
    """
    resolved = method.resolved(depth)
    prompts = len(resolved.counting) * resolve_layer(resolved.layer, depth)
    if resolved.steering is None:
        return BlocksRun(prompts, 0)
    ended_early = resolved.steering.position == "attention_value_output"
    return BlocksRun(prompts, int(resolved.steering.layer) - ended_early)


@dataclass(frozen=True)
class BlockShape:
    """The sizes of one block that its work follows from.

    Args:
        width: size of a state (d).
        queries: size of a token's queries, heads concatenated.
        keys: size of a token's keys; its values are as large.
        weights: of all linear layers of the block.
    """

    width: int
    queries: int
    keys: int
    weights: int

    def attention(self, tokens: int, prefix: int) -> int:
        """Floating-point operations of the attention of a row behind a prefix."""
        return 4 * self.queries * (tokens * prefix + tokens * (tokens + 1) // 2)

    @property
    def linear(self) -> int:
        """Floating-point operations of one token's linear layers."""
        return 2 * self.weights

    @property
    def keys_and_values(self) -> int:
        """Floating-point operations of one token's keys and values."""
        return 4 * self.width * self.keys


@dataclass(frozen=True)
class PromptWork:
    """What asking one prompt of some texts takes: the least that must be computed, and what is.

    Args:
        rows: of each text its tokens without the shared prefix, and the tokens of the prefix.
        prefix: tokens of the shared prefix, computed once; 0 where it was before, or none is shared.
        batches: how many batches the rows make.
        blocks: the deepest block that is needed (k, or l for the auxiliary prompt).
        inside: whether the pass ends at the attention value outputs of that block.
        narrowed: whether in that block, of each row only the last token goes on after keys and values.
    """

    rows: Sequence[tuple[int, int]]
    prefix: int
    batches: int
    blocks: int
    inside: bool = False
    narrowed: bool = True

    @property
    def tokens(self) -> int:
        """Tokens that run through the model."""
        return self.prefix + sum(tokens for tokens, _ in self.rows)

    @property
    def block_tokens(self) -> int:
        """Tokens times whole blocks that they run through; padding is not counted."""
        if self.inside:
            return (self.blocks - 1) * self.tokens
        ended = self.tokens - self.prefix - len(self.rows) if self.narrowed and self.blocks else 0
        return self.blocks * self.tokens - ended

    def least_operations(self, shape: BlockShape) -> int:
        """Floating-point operations that no way of computing these states exactly goes below."""
        if self.blocks == 0:
            return 0
        rows = [*self.rows, (self.prefix, 0)]
        before = sum(tokens * shape.linear + shape.attention(tokens, prefix) for tokens, prefix in rows)
        last = sum(tokens for tokens, _ in rows) * shape.keys_and_values
        rest_of_last = 2 * shape.width * shape.queries if self.inside else shape.linear - shape.keys_and_values
        last += sum(rest_of_last + 4 * shape.queries * (tokens + prefix) for tokens, prefix in self.rows)
        return (self.blocks - 1) * before + last
