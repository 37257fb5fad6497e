"""The modules here train networks: the plan, one member, checkpoints, joined members and distillation."""
