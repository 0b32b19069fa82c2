#!/usr/bin/env bash
# Contrastive Prompting (ACL 2025), Table 3: the blocks that a text runs through, without and with steering.
# Published, for LLaMA2-7B (32 blocks): PromptEOL 27 -> 31, Knowledge 31 -> 37, CK 54 -> 60. --depth L: another model's.
set -euo pipefail
for method in prompteol_cp knowledge_cp ck_cp; do
  oneword methods "$method" "$@" | grep -E "^(method|blocks):"
done
