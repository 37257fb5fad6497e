"""Makes the page of the public demo.

Its modules import only each other and `kneeoa_hub`, so the folder works anywhere: as `spaces.demo` in a checkout, and
as `demo` beside app.py at the root of a Space.
"""
