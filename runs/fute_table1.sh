#!/usr/bin/env bash
# FUTE (Findings of ACL 2024), Table 1: source models ranked for each target, at the paper's scale.
# All options of the command can be given: --data DIR --models A,B --surrogate NAME --device cuda ...
# The paper's unlabeled texts, 100 of each CrossFit task without the evaluation tasks, are fetched from the Hub once.
set -euo pipefail
results=${RESULTS:-results/fute_table1}
pool=${POOL:-$results/crossfit.jsonl}
evaluated=${EVALUATED:-}  # the datasets of --data by the names that CrossFit gives them, separated by spaces
mkdir -p "$results"
if [ ! -e "$pool" ]; then
  without=()
  for name in $evaluated; do without+=(--without "$name"); done
  oneword tasks pool --crossfit --per-dataset 100 ${without[@]+"${without[@]}"} -o "$pool"
fi
oneword tasks transfer --results "$results" --unlabeled "$pool" --surrogate google-t5/t5-base --paper \
  --models google-bert/bert-base-uncased,FacebookAI/roberta-base,google-t5/t5-base,openai-community/gpt2 \
  --settings in-class,all-class,cross-domain --examples 1000000 --target-examples 1000 --test-examples 1000000 \
  --source-epochs 3 --target-epochs 3 --fine-tuning-rate 2e-5 --fine-tuning-length 128 "$@"
cat "$results/transfer.md"
cat <<'PUBLISHED'
Published (FUTE, Table 1; rank of the best source, NDCG):
| method | CR in-class | CR all-class | QA in-class | QA all-class |
| --- | --- | --- | --- | --- |
| TaskEmb | 2.8, 82.3 | | | |
| TuPaTE | 2.5, 83.7 | | | |
| FUTE + TaskEmb | 4.4, 79.4 | | | |
| FUTE + TuPaTE | 3.3, 83.8 | 6.2, 82.0 | 3.3, 85.6 | 4.1, 84.8 |
| DataSize | 3.6, 80.4 | | | |
| CurveGrad | 5.5, 68.6 | | | |
| TextEmb | 5.2, 76.4 | | | |
PUBLISHED
