#!/usr/bin/env bash
# Contrastive Prompting (ACL 2025), Table 1: each method beside itself steered, with norm scaling and norm recovering.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
for method in prompteol pretended_cot knowledge ck; do
  oneword eval sts --results "$results" --method "$method" --method "${method}_cp" \
    --method "$here/contrastive.toml:${method}_nr" "$@"
done
python "$here/beside.py" cp_table1 "$results"
