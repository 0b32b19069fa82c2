#!/usr/bin/env bash
# MetaEOL (ACL 2024), Figure 3: every number of prompts, mean and spread over the subsets.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval prompts --results "$results" --method metaeol "$@"
