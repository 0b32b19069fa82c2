"""Many steerings at once: what each gives alone, of every prompt and layer, and at what cost."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneword import Method, Prompt, Steering
from oneword.engine.forward import Forward
from oneword.engine.grid import GridEncoder
from oneword.engine.options import EVERYTHING
from oneword.errors import InputError, MethodError, ModelError
from parity.compare import METHODS, TEXTS, assert_same, embedder, layers_of

SOME_TEXTS = [TEXTS[index] for index in (0, 1, 2, 3, 12)]  # some of one length, and one twice
# They end in other tokens than the prompts do, see test_steered_states.py
OTHER_END = Prompt('Of no use in "{text}" is this', name="other end")
ANOTHER_END = Prompt("What {text} leaves out", name="another end")
NORMS = [{"norm": "recover"}, {"norm": "scale", "scale": 0.5}, {"norm": "scale", "scale": 3.0}]
# Rotated and learned positions, sliding windows, parallel blocks; the last two are not vouched for
ARCHITECTURES = ["llama", "gpt2", "opt", "gemma2", "qwen2_sliding", "gpt_neox", "bloom", "gpt_oss"]


def grid_of(folder, method, steerings, layers, **options):
    """A grid on the model of an embedder without steering."""
    model = embedder(folder, replace(method, steering=None, published=None), layers)
    return GridEncoder(
        model._backbone, model.method, steerings, model.layer, replace(model.loaded.allowed(model.layers), **options)
    )


def steerings_of(depth):
    """First, middle and last block, every position and norm, two auxiliary prompts."""
    places = [
        (OTHER_END, 2, "attention_value_output", NORMS),
        (OTHER_END, 2, "block_output", NORMS[:2]),
        (OTHER_END, depth, "mlp_output", NORMS[:1]),
        (ANOTHER_END, 1, "attention_value_output", NORMS[2:]),
        (OTHER_END, depth // 2 + 1, "attention_value_output", NORMS[:2]),
    ]
    return [Steering(prompt, layer, position, **norm) for prompt, layer, position, norms in places for norm in norms]


def check(oracle, grid, method, texts, layers, token_budget=4096):
    """Hold every answer to the oracle: each prompt's, without steering and with each, at each layer."""
    answers = list(grid.answers(texts, token_budget))
    assert len(answers) == len(grid) == len(method.prompts)
    for prompt, (answer, _) in zip(method.prompts, answers):
        assert len(answer) == 1 + len(grid.steerings)
        for steering, found in zip([None, *grid.steerings], answer.numpy()):
            alone = replace(method, steering=steering, published=None)
            expected = [oracle.answer(alone, prompt.wording, text) for text in texts]
            expected = np.array([[states[layer] for layer in layers] for states in expected], dtype=np.float32)
            for place, layer in enumerate(layers):
                assert_same(found[:, place], expected[:, place], f"{prompt}, {steering}, layer {layer}")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_steering_equals_the_oracle(name, tiny_model, oracle_of):
    oracle, method = oracle_of(name), METHODS["ck"]
    depth, layers = oracle.depth(), sorted({layer % (oracle.depth() + 1) for layer in [0, 2, *layers_of(oracle)]})
    grid = grid_of(tiny_model(name), method, steerings_of(depth), layers)
    check(oracle, grid, method, SOME_TEXTS, layers)
    # Batches of one row, and some of the steerings at a time, with the same prefixes
    check(oracle, grid, method, SOME_TEXTS[1:4], layers, token_budget=160)


def test_models_that_share_no_prefix(tiny_model, oracle_of, monkeypatch):
    monkeypatch.delattr(Forward, "read_and_keep")
    monkeypatch.delattr(Forward, "prefix_cache")
    method, layers = METHODS["ck"], [0, 2, 5]
    grid = grid_of(tiny_model("llama"), method, steerings_of(5), layers, shared_prefix=False)
    check(oracle_of("llama"), grid, method, SOME_TEXTS, layers)


def test_rotation_that_depends_on_the_length_of_the_row(tiny_model, oracle_of):
    # Of rows on both sides of the limit, and of a prompt and an auxiliary prompt of one text on either side
    method, layers = METHODS["knowledge"], [1, 2, 5]
    grid = grid_of(tiny_model("phi3_longrope"), method, steerings_of(5), layers)
    check(oracle_of("phi3_longrope"), grid, method, TEXTS[:6], layers)


def test_rows_of_one_token_and_of_another_prefix_each(tiny_model, oracle_of):
    method = Method("bare", ["{text}", 'The word "{text}"'], cleaning="none")
    texts = ["A", "the", "a", "The cat", "Rain", "Ra"]
    grid = grid_of(tiny_model("gpt2"), method, steerings_of(5), [1, 3, 5])
    assert min(len(oracle_of("gpt2").tokens("{text}", text, "none")) for text in texts) == 1
    check(oracle_of("gpt2"), grid, method, texts, [1, 3, 5])


def test_a_grid_of_nothing_is_the_method_alone(tiny_model, oracle_of):
    oracle, method = oracle_of("gpt2"), METHODS["prompteol"]
    for layers in ([0, 3], [0]):
        check(oracle, grid_of(tiny_model("gpt2"), method, [], layers), method, SOME_TEXTS, layers)


def test_the_methods_own_demonstrations_and_cleaning(tiny_model, oracle_of):
    method = replace(METHODS["prompteol"], demonstrations=[("It rains.", "Rain")] * 2, cleaning="none")
    grid = grid_of(tiny_model("llama"), method, steerings_of(5)[:3], [2, 5])
    check(oracle_of("llama"), grid, method, SOME_TEXTS, [2, 5])


def test_texts_that_are_cut(tiny_model):
    # By the prompt, by the auxiliary prompt alone, and by none; embedders cut them so
    texts = ["It rained for a week, and then the river came. " * 20, "Rain", "It rained. " * 5]
    method = METHODS["prompteol"]
    long = Prompt("Think, and think again. " * 9 + OTHER_END.wording)
    steerings = [Steering(long, 1, "block_output", **norm) for norm in NORMS]
    grid = grid_of(tiny_model("llama_window"), method, steerings, [1, 2])
    ((answer, cut),) = grid.answers(texts, 4096)
    assert cut == [0, 2]
    ((_, cut),) = grid_of(tiny_model("llama_window"), method, [], [1, 2]).answers(texts, 4096)
    assert cut == [0]
    for steering, found in zip([None, *steerings], answer.numpy()):
        model = embedder(tiny_model("llama_window"), replace(method, steering=steering), [1, 2])
        with pytest.warns(UserWarning, match="were cut"):
            expected = model.encode(texts)
        for place in range(2):
            assert_same(found[:, place], expected[:, place], str(steering))


def test_the_default_model():
    method, layers, texts = METHODS["prompteol"], [0, 4, 15, 30], ["Rain", TEXTS[1], "It is late.", "Is it late?"]
    steerings = [Steering(layer=3, norm="recover"), Steering(layer=6, scale=3.0), Steering(layer=4, norm="recover")]
    model, alone = (embedder(None, replace(method, steering=steering), layers) for steering in (None, steerings[2]))
    ((answer, _),) = GridEncoder(model._backbone, method, steerings, layers, EVERYTHING).answers(texts, 4096)
    for found, expected in [(answer[0], model.encode(texts)), (answer[3], alone.encode(texts))]:
        for place, layer in enumerate(layers):
            assert_same(found[:, place].numpy(), expected[:, place], f"layer {layer}")


# What it costs


@contextmanager
def counted(grid, projection):
    """How many tokens go into each block, by its number, and out of its attention's projection."""
    tokens = Counter()

    def enters(number):
        def count(module, args, kwargs):
            states = args[0] if args else kwargs["hidden_states"]
            tokens[number] += states.shape[0] * states.shape[1]

        return count

    def leaves(number):
        def count(module, args, output):
            tokens[f"projection {number}"] += output.shape[:-1].numel()

        return count

    with ExitStack() as stack:
        for number, block in enumerate(grid._forward._backbone.blocks, 1):
            stack.callback(block.register_forward_pre_hook(enters(number), with_kwargs=True).remove)
            stack.callback(block.get_submodule(projection).register_forward_hook(leaves(number)).remove)
        yield tokens


def test_all_but_the_last_token_runs_once_and_the_auxiliary_prompt_once(tiny_model, oracle_of):
    texts = ["Rain", "A man is playing a guitar", "the film was not good", "It is late"]
    oracle, steerings = oracle_of("llama"), [Steering(layer=layer, **norm) for layer in (1, 3) for norm in NORMS]
    grid = grid_of(tiny_model("llama"), METHODS["ck"], steerings, [2, 4])

    def once(prompt):
        rows = [oracle.tokens(prompt.wording, text, "one_word") for text in texts]
        prefix = next(place for place in range(len(rows[0])) if len({row[place] for row in rows}) > 1)
        return prefix + sum(len(row) - prefix for row in rows)

    with counted(grid, "self_attn.o_proj") as tokens:
        list(grid.answers(texts, token_budget=1))  # one row a batch, so that nothing is padded
    prompts = sum(map(once, METHODS["ck"].prompts)) + 2 * len(steerings) * len(texts)
    auxiliary = once(steerings[0].auxiliary_prompt)
    # The auxiliary pass reads block 1 on its way, and ends in block 3 before the projection; nothing reads block 5
    assert tokens["projection 2"] == tokens[2] == tokens[3] == prompts + auxiliary
    assert tokens["projection 3"] == tokens[4] == prompts
    assert tokens[5] == 0


def test_progress_is_told_in_rows(tiny_model):
    grid = grid_of(tiny_model("llama"), METHODS["ck"], steerings_of(5), [5])
    told = []
    list(grid.answers(SOME_TEXTS, 160, told.append))
    assert grid.passes == 4  # two prompts, two auxiliary prompts
    assert sum(told) == 4 * len(SOME_TEXTS)
    assert len(told) > 4


# What is refused


def test_what_cannot_be_steered_is_refused(tiny_model):
    steering = Steering(OTHER_END, layer=3)
    for method in ["average", "echo"]:
        with pytest.raises(MethodError, match=f"method '{method}': steering changes the last token"):
            grid_of(tiny_model("llama"), METHODS[method], [steering], [4])
    with pytest.raises(MethodError, match="steering changes block 3, which layer 2 does not see"):
        grid_of(tiny_model("llama"), METHODS["ck"], [replace(steering, layer=2), steering], [0, 2])
    with pytest.raises(MethodError, match="layer 6 is out of range: the model has blocks 1 to 5"):
        grid_of(tiny_model("llama"), METHODS["ck"], [replace(steering, layer=6)], [5])
    with pytest.raises(ModelError, match=r"llama_bidirectional .* steered: its tokens see"):
        grid_of(tiny_model("llama_bidirectional"), METHODS["prompteol"], [steering], [4])


def test_out_of_memory_is_said(tiny_model, monkeypatch):
    grid = grid_of(tiny_model("llama"), METHODS["ck"], [], [4])

    def fail(*arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Forward, "read_and_keep", fail)
    with pytest.raises(InputError, match="out of memory"):
        list(grid.answers(SOME_TEXTS, 4096))
