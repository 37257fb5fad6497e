"""The modules here make networks: the searched architectures, the ensemble, the locator, the gate, and their losses."""
