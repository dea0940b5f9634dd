"""Footnote beside its peers: one idiomatic program each, and what runs and compares them (`python -m eval.peers`)."""
