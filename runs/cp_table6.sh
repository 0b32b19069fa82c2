#!/usr/bin/env bash
# Contrastive Prompting (ACL 2025), Table 6: transfer tasks with steering.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval transfer --results "$results" --method prompteol --method "$here/contrastive.toml:prompteol_transfer" \
  --method "$here/contrastive.toml:prompteol_transfer_nr" "$@"
python "$here/beside.py" cp_table6 "$results"
