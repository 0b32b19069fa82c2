"""What the auxiliary pass costs: which blocks ran, for how many tokens, and what of the steered block did not."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

import oneword.answering
from oneword import Steering
from oneword.registry import find_method, find_prompt
from parity.compare import embedder

IRRELEVANT = find_prompt("irrelevant")
# Their beginnings differ, so that no more than the prompt's own beginning is shared
TEXTS = [
    "Rain",
    "A man is playing a guitar",
    "They bought 3 tickets for 25 pounds!",
    "the film was not good",
    "It is late",
]

# Of the blocks that are counted: attention's output projection, and the MLP
MODELS = {"llama": ("self_attn.o_proj", "mlp"), "gpt2": ("attn.c_proj", "mlp"), "opt": ("self_attn.out_proj", "fc2")}


@contextmanager
def counted(model, name, block):
    """How many tokens go into each block, by its number, and come out of parts of one of them."""
    tokens = Counter()
    blocks = model._backbone.blocks

    def enters(place):
        def count(module, args, kwargs):
            states = args[0] if args else kwargs["hidden_states"]
            tokens[place] += states.shape[0] * states.shape[1]

        return count

    def leaves(place):
        def count(module, args, output):
            states = output[0] if isinstance(output, tuple) else output
            tokens[place] += states.shape[:-1].numel()

        return count

    with ExitStack() as stack:
        for number, one in enumerate(blocks, 1):
            stack.callback(one.register_forward_pre_hook(enters(number), with_kwargs=True).remove)
        projection, mlp = MODELS[name]
        parts = {"projection": projection, "mlp": mlp, "whole": ""}
        for part, path in parts.items():
            stack.callback(blocks[block - 1].get_submodule(path).register_forward_hook(leaves(part)).remove)
        yield tokens


def tokens_of(folder, name, method, block, *calls):
    """What one embedder computes in these calls, one text a batch, so that nothing is padded."""
    model = embedder(folder, method, -1)
    with counted(model, name, block) as tokens:
        for texts in calls:
            model.encode(texts, batch_size=1)
    return tokens


def auxiliary_tokens(folder, name, method, *calls):
    """What steering adds to them."""
    block = method.steering.layer
    plain = replace(method, steering=None, published=None)
    return tokens_of(folder, name, method, block, *calls) - tokens_of(folder, name, plain, block, *calls)


def shared_once(oracle, wording, texts, calls=1):
    """The tokens of a prompt's rows, what they begin with being computed once for all."""
    rows = [oracle.tokens(wording, text, "one_word") for text in texts]
    prefix = next(place for place in range(len(rows[0])) if len({row[place] for row in rows}) > 1)
    return prefix + calls * sum(len(row) - prefix for row in rows)


def steered(method, position, layer=3, **fields):
    steering = Steering(IRRELEVANT, layer=layer, position=position, **fields)
    return replace(find_method(method), steering=steering, published=None)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["prompteol", "ck", "metaeol"])
def test_once_a_text_for_all_prompts_and_ends_inside_the_block(method, name, tiny_model, oracle_of):
    found = auxiliary_tokens(tiny_model(name), name, steered(method, "attention_value_output"), TEXTS)
    once = shared_once(oracle_of(name), IRRELEVANT.wording, TEXTS)
    # Block 3 computes keys, values and attention; no projection, no MLP, and there is no block 4
    assert found == {1: once, 2: once, 3: once}


@pytest.mark.parametrize("name", MODELS)
def test_ends_where_it_is_read(name, tiny_model, oracle_of):
    once = shared_once(oracle_of(name), IRRELEVANT.wording, TEXTS)
    for position, parts in [("mlp_output", ["projection", "mlp"]), ("block_output", ["projection", "mlp", "whole"])]:
        found = auxiliary_tokens(tiny_model(name), name, steered("ck", position, 2, norm="recover"), TEXTS)
        assert found == {1: once, 2: once, **dict.fromkeys(parts, once)}


@pytest.mark.parametrize("layer", [1, 5])
def test_the_first_and_the_last_block(layer, tiny_model, oracle_of):
    found = auxiliary_tokens(tiny_model("llama"), "llama", steered("ck", "attention_value_output", layer), TEXTS)
    once = shared_once(oracle_of("llama"), IRRELEVANT.wording, TEXTS)
    assert found == dict.fromkeys(range(1, layer + 1), once)


def test_the_prefix_is_computed_once_for_all_calls(tiny_model, oracle_of):
    found = auxiliary_tokens(tiny_model("gpt2"), "gpt2", steered("ck", "attention_value_output"), TEXTS, TEXTS, TEXTS)
    assert found[1] == found[3] == shared_once(oracle_of("gpt2"), IRRELEVANT.wording, TEXTS, calls=3)


def test_equal_texts_are_asked_once(tiny_model):
    method, folder = steered("metaeol", "attention_value_output"), tiny_model("llama")
    once = auxiliary_tokens(folder, "llama", method, TEXTS)
    assert auxiliary_tokens(folder, "llama", method, TEXTS + TEXTS[::-1] + TEXTS[:2]) == once


def test_every_section_asks_of_its_own_texts(tiny_model, monkeypatch):
    texts = [f"{word} {number} drops of rain" for number in range(14) for word in TEXTS]
    method, folder = steered("prompteol", "attention_value_output"), tiny_model("llama")
    whole, vectors = auxiliary_tokens(folder, "llama", method, texts), embedder(folder, method, -1).encode(texts)
    monkeypatch.setattr(oneword.answering, "_SECTION_BYTES", 1)  # the smallest sections, of 64 texts
    assert auxiliary_tokens(folder, "llama", method, texts) == whole
    assert abs(embedder(folder, method, -1).encode(texts) - vectors).max() < 1e-3


def test_steering_adds_no_tokens_to_the_prompts(tiny_model, oracle_of):
    method = steered("ck", "attention_value_output")
    oracle, tokens = oracle_of("llama"), tokens_of(tiny_model("llama"), "llama", method, 3, TEXTS)
    prompts = sum(shared_once(oracle, prompt.wording, TEXTS) for prompt in method.prompts)
    assert tokens[4] == tokens[5] == tokens["projection"] == tokens["mlp"] == prompts


# Demonstrations are part of the prefix


@pytest.mark.parametrize("count", [0, 1, 3, 16])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_demonstrations_are_computed_once(name, count, tiny_model, oracle_of):
    pairs = [(f"{number} tickets for 25 pounds.", "Tickets") for number in range(count)]
    method = replace(find_method("prompteol"), demonstrations=pairs)
    tokens = tokens_of(tiny_model(name), name, method, 1, TEXTS, TEXTS)
    wording = "".join(f'This sentence : "{text}" means in one word:"{word}".' for text, word in pairs)
    wording += method.prompts[0].wording
    assert set(tokens.values()) == {shared_once(oracle_of(name), wording, TEXTS, calls=2)}
