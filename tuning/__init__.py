"""From labelled films to a published bundle: audit, search, train, evaluate, export, publish."""
