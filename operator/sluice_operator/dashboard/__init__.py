"""A read-only page over what the operator knows: every model, one rollout with its plots, its history."""
