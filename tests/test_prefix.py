"""Keys and values that grow in memory taken beforehand are those of transformers' own cache."""

from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache

from oneword.engine.prefix import PrefixCache


@pytest.mark.parametrize("room", [0, 1, 6, 50])
def test_a_growing_cache_holds_what_a_dynamic_one_holds(room):
    generator = torch.Generator().manual_seed(0)

    def states(rows, tokens):
        return torch.randn(rows, 2, tokens, 4, generator=generator)

    prefix = [(states(1, 5), states(1, 5)) for _ in range(3)]
    before = [keys.clone() for keys, _ in prefix]
    growing, plain = PrefixCache(prefix).growing(4, room), DynamicCache()
    for block, (keys, values) in enumerate(prefix):
        plain.update(keys.expand(4, -1, -1, -1), values.expand(4, -1, -1, -1), block)
    for tokens in (3, 1, 1, 1, 4):  # more than some rooms
        for block in range(3):
            new = states(4, tokens), states(4, tokens)
            found, expected = (cache.update(*new, block) for cache in (growing, plain))
            assert torch.equal(found[0], expected[0])
            assert torch.equal(found[1], expected[1])
        assert growing.get_seq_length() == plain.get_seq_length()
    assert all(torch.equal(keys, was) for (keys, _), was in zip(prefix, before))  # what all rows share is as it was
