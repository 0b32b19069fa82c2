"""Texts in, vectors out: txt, csv, tsv, jsonl, parquet, npy."""
