"""`python -m benchmarks.speed` measures how fast, large and heavy the package is, each beside the least possible.

Every figure has a module here with a function `measure`. Both sides of a ratio are measured in turns within one run, so
that a machine that is busy with other work slows both of them alike.
"""
