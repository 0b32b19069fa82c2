"""Tuning: the Fisher diagonal and the prefix held to plain computations, and what tuning leaves alone."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch

from oneword.errors import ModelError
from oneword.tasks import Dataset, TaskEmbedder
from oneword.tasks.fisher import fisher_diagonal
from oneword.tasks.forms import FORMS, TaskEmb, TuPaTE, find_form
from oneword.tasks.objectives import TextObjective, answers_objective, dataset_objective
from oneword.tasks.predictor import Answers
from oneword.tasks.trainable import TrainableModel
from oneword.tasks.tuning import Tuning, tune

SURROGATES = ("bert", "llama", "gpt2", "t5")
TEXTS = [f"the film was {'good' if row % 2 else 'bad'} and {'long ' * (row % 4)}{row}" for row in range(24)]
CLASSES = Dataset("films", TEXTS, ["good" if row % 2 else "bad" for row in range(24)])
NUMBERS = Dataset("lengths", TEXTS, [float(row % 4) + 0.5 for row in range(24)], kind="regression")
PAIRS = Dataset("pairs", TEXTS, ["same" if row % 2 else "other" for row in range(24)], text_pairs=TEXTS[::-1])
SPANS = Dataset(
    "answers", ["how was it?"] * 24, [(text.index("was"), len(text) - 1) for text in TEXTS], TEXTS, kind="span"
)
DATASETS = (CLASSES, NUMBERS, PAIRS, SPANS)


@pytest.fixture
def surrogate(tiny_model):
    return lambda name: TrainableModel(tiny_model(name), device="cpu")


def state_of(model: TrainableModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.model.state_dict().items()}


def assert_untouched(model: TrainableModel, before: dict[str, torch.Tensor]) -> None:
    after = model.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(parameter.requires_grad for parameter in model.model.parameters())


def in_float64(model: TrainableModel) -> TrainableModel:
    model = copy.copy(model)
    model.model.double()
    return model


def naive_fisher(model, parameters, rows, objective):
    """A loop over examples, with plain autograd; and the square of the whole batch's gradient."""
    squares = {name: torch.zeros_like(value) for name, value in parameters.items()}
    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    for row, tokens in enumerate(rows):
        ids = torch.tensor([tokens.ids])
        ones = torch.ones_like(ids)
        loss = objective.losses(model, model.states(ids, ones), ones, objective.targets([row], ids.shape[1])).sum()
        for name, gradient in zip(parameters, torch.autograd.grad(loss, list(parameters.values()))):
            squares[name] += gradient**2 / len(rows)
            sums[name] += gradient / len(rows)
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    return squares, {name: value**2 for name, value in sums.items()}


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_fisher_is_the_mean_of_squared_gradients_of_single_examples(surrogate, name, dataset):
    model = in_float64(surrogate(name))
    rows, objective = dataset_objective(model, dataset, 128)
    objective.head.double()
    if hasattr(objective, "_targets"):
        objective._targets = objective._targets.double()
    torch.manual_seed(0)
    torch.nn.init.normal_(objective.head.linear.weight)  # zeros would let no gradient through
    parameters = model.block_parameters()
    expected, squared_batch = naive_fisher(model, parameters, rows, objective)
    found = fisher_diagonal(model, parameters, rows, objective)
    flat, wanted, wrong = (
        torch.cat([one[key].flatten() for key in parameters]) for one in (found, expected, squared_batch)
    )
    assert float((flat - wanted).norm() / wanted.norm()) < 1e-6
    assert float((flat - wrong).norm() / wanted.norm()) > 0.1


def test_fisher_of_free_text_is_that_of_the_decoders_loss(surrogate):
    model = surrogate("t5")
    answers = Answers("strings", tuple("fine" if row % 2 else "not fine at all" for row in range(24)))
    rows, objective = answers_objective(model, TEXTS, None, answers, 64)
    assert isinstance(objective, TextObjective)
    parameters = model.block_parameters()
    expected, _ = naive_fisher(model, parameters, rows, objective)
    found = fisher_diagonal(model, parameters, rows, objective)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("name", [*SURROGATES, "roberta", "distilbert", "modernbert", "qwen3", "phi3", "opt", "bart"])
def test_a_prefix_reaches_every_layer(surrogate, name):
    model = surrogate(name)
    ids, mask = model.padded([row.ids for row in model.tokenize(TEXTS[:3])])
    heads, size = model.prefix_shape
    start = torch.randn(model.depth, 2, heads, 4, size, generator=torch.Generator().manual_seed(0))

    def block_outputs(prefix):
        found = []
        hooks = [
            block.register_forward_hook(lambda m, a, out: found.append(out[0] if isinstance(out, tuple) else out))
            for block in model.blocks
        ]
        with torch.no_grad(), model.with_prefix(prefix):
            model.states(ids, mask)
        for hook in hooks:
            hook.remove()
        return [states[mask.bool()] for states in found]

    plain = block_outputs(start)
    for block in range(model.depth):
        scaled = start.clone()
        scaled[block] *= 2
        changed = [float((one - other).abs().max()) for one, other in zip(plain, block_outputs(scaled))]
        assert all(change == 0 for change in changed[:block])
        assert all(change > 1e-6 for change in changed[block:])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_prefix_of_a_decoder_is_its_cache_at_the_texts_own_positions(surrogate, name):
    from transformers import DynamicCache

    model = surrogate(name)
    ids = torch.tensor([model.tokenize(TEXTS[:1])[0].ids])
    heads, size = model.prefix_shape
    prefix = torch.randn(model.depth, 2, heads, 4, size, generator=torch.Generator().manual_seed(0))
    cache = DynamicCache()
    for block, (keys, values) in enumerate(prefix):
        cache.update(keys[None], values[None], block)
    with torch.no_grad():
        with model.with_prefix(prefix):
            found = model.states(ids, torch.ones_like(ids))
        expected = model.model(
            input_ids=ids,
            past_key_values=cache,
            attention_mask=torch.ones(1, 4 + ids.shape[1], dtype=torch.long),
            position_ids=torch.arange(ids.shape[1])[None],
        ).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SURROGATES)
def test_padding_and_company_do_not_change_a_text(surrogate, name):
    model = surrogate(name)
    rows = [row.ids for row in model.tokenize(TEXTS[:6])]
    heads, size = model.prefix_shape
    prefix = torch.randn(model.depth, 2, heads, 4, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), model.with_prefix(prefix):
        ids, mask = model.padded(rows)
        together = model.pooled(model.states(ids, mask), mask)
        alone = [model.pooled(model.states(*pair), pair[1]) for pair in (model.padded([row]) for row in rows)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("form", FORMS)
def test_tuning_learns_and_leaves_the_surrogate_as_it_was(surrogate, name, form):
    model = surrogate(name)
    before = state_of(model)
    if form == "bitfit" and name in ("llama", "t5"):
        with pytest.raises(ModelError, match="no biases in its blocks"):
            TaskEmbedder(model, form)
        return
    embedding = TaskEmbedder(model, form, tuning={"steps": 12}).embed_dataset(CLASSES)
    losses = embedding.provenance["losses"]
    assert losses[0] == pytest.approx(0.69315, abs=1e-4)  # a head of zeros knows nothing
    assert min(losses) < 0.65
    assert embedding.vector.any()
    assert_untouched(model, before)


@pytest.mark.parametrize("name", SURROGATES)
def test_only_the_prefix_is_trained(surrogate, name):
    model = surrogate(name)
    before = state_of(model)
    rows, objective = dataset_objective(model, CLASSES, 64)
    with TuPaTE(4).tuning(model) as tunable:
        (prefix,) = tunable.parameters.values()
        start = prefix.detach().clone()
        tune(model, tunable.parameters, rows, objective, Tuning(1e-2, steps=3), 0, within=tunable.within)
        moved = (prefix - start).abs().amax(dim=(2, 3, 4))
        assert (moved > 0).all()  # the keys and the values of every block
        assert_untouched(model, before)


def test_a_surrogate_without_such_attention_is_refused_for_prefixes_only(surrogate):
    model = surrogate("bloom")
    with pytest.raises(ModelError, match="no attention that takes a prefix"):
        TaskEmbedder(model, "tupate")
    assert TaskEmbedder(model, "bitfit", tuning={"steps": 2}).embed_dataset(CLASSES).vector.any()


def test_fisher_of_chosen_parameters_is_that_part_of_it(surrogate):
    model = surrogate("bert")
    options = {"tuning": {"steps": 4}}
    whole = TaskEmbedder(model, "taskemb", **options).embed_dataset(CLASSES)
    part = TaskEmbedder(model, TaskEmb(("*attention*",)), **options).embed_dataset(CLASSES)
    logs = TaskEmbedder(model, TaskEmb(("*attention*",), log=True), **options).embed_dataset(CLASSES)
    assert 0 < part.vector.size < whole.vector.size
    assert logs.vector.argmax() == part.vector.argmax()
    assert len({whole.space, part.space, logs.space}) == 3
    with pytest.raises(ModelError, match="has no parameters like nothing"):
        TaskEmbedder(model, TaskEmb(("nothing",)))


def test_unknown_forms_and_settings_are_refused(surrogate):
    from oneword.errors import InputError

    with pytest.raises(InputError, match=r"unknown form 'tupat'.*tupate"):
        find_form("tupat")
    for field, value in (("batch", 0), ("epochs", float("inf"))):
        with pytest.raises(InputError, match=f"{field} must be a number above 0"):
            TaskEmbedder(surrogate("bert"), tuning={field: value})
    with pytest.raises(InputError, match="unknown field 'step'"):
        TaskEmbedder(surrogate("bert"), tuning={"step": 5})


@pytest.mark.slow
def test_the_docs_say_how_long_the_default_surrogates_vectors_are():
    page = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")
    model = TrainableModel("minilm", device="cpu")
    for name, form in FORMS.items():
        with form().tuning(model) as tunable:
            numbers = sum(parameter.numel() for parameter in tunable.parameters.values())
        numbers //= model.depth if name == "tupate" else 1
        assert re.search(rf"^\| `{name}` .*\| {numbers:,} \|$", page, re.MULTILINE), (name, numbers)
