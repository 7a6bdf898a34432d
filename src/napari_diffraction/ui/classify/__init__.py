"""The panel that sorts the patterns of a stack."""
