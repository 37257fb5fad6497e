"""Films and their labels: read, audited for copies, and made into batches."""
