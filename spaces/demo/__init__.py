"""The page of the public demo. Its modules import only each other and `kneeoa_hub`, so the folder works anywhere:
`spaces.demo` in a checkout, `demo` beside app.py at the root of a Space."""
