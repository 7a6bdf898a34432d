"""From a recipe, or from a person's labels, to a model.

In come recipes (TOML) and labels; the room of the task trains; out goes a model file.
"""
