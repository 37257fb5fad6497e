"""The public demo's page. Its modules import only each other and `kneeoa_hub`, so the folder works under any parent:
`spaces.demo` in a checkout, `demo` beside app.py at a Space's root."""
