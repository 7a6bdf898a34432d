"""One stack in a window: its review, its layers, and the classes beside its patterns."""
