"""The modules here read films and labels, audit them for copies and faults, split them, and make batches of them."""
