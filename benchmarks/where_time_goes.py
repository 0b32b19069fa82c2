"""The operations in which a method's time is spent: a table of docs/performance.md.

python benchmarks/where_time_goes.py --method metaeol --texts 256
"""

from __future__ import annotations

import argparse

import torch

from oneword import Embedder
from oneword.benchmark.shipped import corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="metaeol")
    parser.add_argument("--layer", type=int, default=-3)
    parser.add_argument("--texts", type=int, default=256)
    options = parser.parse_args()
    embedder, texts = Embedder(method=options.method, layer=options.layer), corpus()[: options.texts]
    embedder.encode(texts[:32])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        embedder.encode(texts)
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40))


if __name__ == "__main__":
    main()
