"""Vectors as int8 and binary codes, in memory and in files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from oneword import Embedder
from oneword.combination import rounded
from oneword.errors import FingerprintError, InputError
from oneword.io.vectors import read_vectors

TEXTS = ["It rained all night.", "Is it late?", "Go", "The river took the mill with it", "Is it late?"]
CODES = ["int8", "binary", "ubinary"]


@pytest.fixture(scope="module")
def embedders(tiny_model):
    plain = Embedder(tiny_model("llama"), dtype="float32", device="cpu")
    plain = plain.calibrate([f"{word} {number}" for word in ("rain", "mill") for number in range(40)], ["standardize"])
    return {name: plain.with_method(plain.method, precision=name) for name in ["float32", *CODES]}


def naive(vectors: np.ndarray, precision: str) -> np.ndarray:
    """Number by number, by the definitions of sentence-transformers' precisions; int8 scaled by each vector."""
    if precision == "int8":
        return np.array([[round(127 * float(x) / float(max(abs(row)))) for x in row] for row in vectors])
    found = []
    for row in vectors:
        bits = "".join("1" if x > 0 else "0" for x in row)
        found.append(
            [int(bits[at : at + 8], 2) - (128 if precision == "binary" else 0) for at in range(0, len(bits), 8)]
        )
    return np.array(found)


@pytest.mark.parametrize("precision", CODES)
def test_codes_are_those_of_a_naive_quantization(embedders, precision):
    vectors, codes = embedders["float32"].encode(TEXTS), embedders[precision].encode(TEXTS)
    assert codes.dtype == {"ubinary": np.uint8}.get(precision, np.int8)
    expected = naive(vectors, precision)
    assert codes.shape == expected.shape
    # A number that lies just between two codes may round either way
    assert np.abs(codes.astype(int) - expected).max() <= (1 if precision == "int8" else 0)
    assert embedders[precision].encode(TEXTS, normalize_embeddings=True).tolist() == codes.tolist()
    assert embedders[precision].encode(TEXTS[0]).tolist() == codes[0].tolist()
    assert embedders[precision].encode(TEXTS, convert_to_tensor=True).tolist() == codes.tolist()


def test_a_vector_of_zeros_is_one_of_zeros_as_int8():
    tiny = torch.tensor([[0.0, 0.0], [1e-40, -1e-40], [3.0, -1.0]])
    assert rounded(tiny, "int8").tolist()[::2] == [[0, 0], [127, -42]]
    assert torch.isfinite(rounded(tiny, "int8")).all()


@pytest.mark.parametrize("precision", CODES)
def test_cosines_of_codes_are_near_those_of_vectors(embedders, precision):
    embedder, vectors = embedders[precision], embedders["float32"].encode(TEXTS)
    codes = embedder.encode(TEXTS)
    found = embedder.similarity(codes, codes)
    signs = np.where(vectors > 0, 1, -1)
    expected = (
        signs @ signs.T / vectors.shape[1] if precision != "int8" else embedders["float32"].similarity(vectors, vectors)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6 if precision != "int8" else 0.02)
    tensor = torch.from_numpy(codes)
    np.testing.assert_allclose(embedder.similarity(tensor, tensor).numpy(), found, atol=1e-6)


def test_precisions_have_fingerprints_of_their_own(embedders):
    prints = {embedder.fingerprint for embedder in embedders.values()}
    assert len(prints) == 4
    assert ",int8-vectors/" in embedders["int8"].fingerprint


def test_what_cannot_be_is_refused(tiny_model, embedders):
    with pytest.raises(InputError, match=r"'int4' is not one of: float32, int8, binary, ubinary"):
        embedders["float32"].with_method(embedders["float32"].method, precision="int4")
    odd = embedders["float32"].calibrate([f"text {number}" for number in range(40)], [{"principal_components": 12}])
    with pytest.raises(InputError, match=r"packs eight dimensions into a byte, but vectors have 12"):
        odd.with_method(odd.method, precision="binary")


@pytest.mark.parametrize("ending", ["parquet", "npy", "jsonl"])
@pytest.mark.parametrize("precision", CODES)
def test_files_hold_codes_and_are_searched(embedders, tiny_model, oneword, folder, precision, ending):
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    model = ["--model", tiny_model("llama"), "--dtype", "float32"]
    embedders["float32"].save_method(folder / "mine")
    asked = [*model, "--method", "mine/", "--precision", precision]
    oneword("embed", "texts.txt", "-o", f"out.{ending}", *asked, "-q")
    expected = embedders[precision].encode(TEXTS)
    if ending == "parquet":
        stored = np.array(pq.read_table("out.parquet").column("vector").to_pylist())
    elif ending == "npy":
        stored = np.load("out.npy")
        assert stored.dtype == expected.dtype
    else:
        rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
        stored = np.array([row["vector"] for row in rows])
        assert {row["precision"] for row in rows} == {precision}
    assert np.abs(stored.astype(int) - expected.astype(int)).max() <= (1 if precision == "int8" else 0)
    values = read_vectors(f"out.{ending}").values
    assert values.shape == (5, 48)
    assert set(np.unique(values)) <= ({-1.0, 1.0} if precision != "int8" else set(range(-127, 128)))
    hits = json.loads(oneword("search", TEXTS[3], "--corpus", f"out.{ending}", "--json", *asked)[0])["results"]
    assert (hits[0]["row"], round(hits[0]["score"], 5)) == (4, 1.0)
    said = oneword("search", TEXTS[3], "--corpus", f"out.{ending}", *model, "--method", "mine/", code=2)[1]
    assert f"{precision}-vectors" in said


@pytest.mark.parametrize("precision", CODES)
def test_rows_without_a_text_stay_without_codes(embedders, tiny_model, oneword, folder, precision):
    (folder / "texts.jsonl").write_text('{"text": "one"}\n{"text": ""}\n{"text": "two"}\n')
    asked = [
        "embed",
        "texts.jsonl",
        "--on-error",
        "skip",
        "--model",
        tiny_model("llama"),
        "--precision",
        precision,
        "-q",
    ]
    for ending in ("parquet", "jsonl"):
        oneword(*asked, "-o", f"out.{ending}")
        values = read_vectors(f"out.{ending}").values
        assert np.isnan(values[1]).all()
        assert np.isfinite(values[[0, 2]]).all()
    said = oneword(*asked, "-o", "out.npy", code=2)[1]
    assert "codes have no NaN; write .parquet" in said
    assert not (folder / "out.npy").exists()


def test_arguments_are_printed_as_codes(tiny_model, oneword):
    line = oneword("embed", "one text", "--model", tiny_model("llama"), "--precision", "ubinary")[0]
    found = json.loads(line)
    assert len(found["vector"]) == 6
    assert all(isinstance(code, int) and 0 <= code < 256 for code in found["vector"])


def test_files_of_older_versions_are_float32(embedders, folder):
    np.save("old.npy", np.ones((2, 3), dtype=np.float32))
    metadata = {"fingerprint": "f", "model": "m", "method": "x", "text_column": "text", "shape": [3], "rows": 2}
    (folder / "old.npy.json").write_text(json.dumps({**metadata, "version": "0.0.1"}))
    assert read_vectors("old.npy").values.tolist() == [[1.0] * 3] * 2


def test_codes_of_one_precision_are_not_compared_with_another(embedders, folder, tiny_model, oneword):
    (folder / "texts.txt").write_text("one\ntwo\n")
    oneword("embed", "texts.txt", "-o", "out.npy", "--model", tiny_model("llama"), "--precision", "int8", "-q")
    with pytest.raises(FingerprintError):
        embedders["float32"].similarity(read_vectors("out.npy"), embedders["float32"].encode(TEXTS))
