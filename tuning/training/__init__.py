"""How networks are trained: the plan, one member, checkpoints, the search, joined members, distillation."""
