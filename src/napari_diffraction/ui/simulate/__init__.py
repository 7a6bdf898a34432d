"""The panel that simulates spot patterns and Kikuchi patterns."""
