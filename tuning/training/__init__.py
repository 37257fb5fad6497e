"""How networks are trained: schedule, checkpoints, tuners, members, distillation."""
