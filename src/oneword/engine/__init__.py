"""How states are computed: tokens, batches, shared prefix, forward pass."""
