"""The panel that compares models with labels that are known."""
