#!/usr/bin/env bash
# Contrastive Prompting (ACL 2025), Table 4: six auxiliary prompts on PromptEOL.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
methods=(--method prompteol)
for auxiliary in irrelevant redundant background descriptive_term sentiment primary_entity; do
  methods+=(--method "$here/contrastive.toml:auxiliary_$auxiliary")
done
oneword eval sts --results "$results" "${methods[@]}" "$@"
