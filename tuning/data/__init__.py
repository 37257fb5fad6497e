"""Films and their labels: read, audited for copies and faults, split, and made into batches."""
