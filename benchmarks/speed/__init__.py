"""How fast, how large and how heavy the package is, each beside the least it could be: `python -m benchmarks.speed`.

Every figure has a module here with a function `measure`. Both sides of a ratio are measured in turns within one run, so
that a machine that is busy with other work slows both of them alike.
"""
