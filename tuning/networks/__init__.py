"""The networks: architectures, ensembles, losses."""
