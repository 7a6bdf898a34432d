"""The panel that trains a network on labelled or simulated patterns."""
