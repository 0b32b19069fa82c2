#!/usr/bin/env bash
# MetaEOL (ACL 2024), Table 1: average pooling, Echo, PromptEOL and MetaEOL on STS, at the last layer.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval sts --results "$results" --method average --method echo --method prompteol --method metaeol "$@"
python "$here/beside.py" metaeol_table1 "$results"
