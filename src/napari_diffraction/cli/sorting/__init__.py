"""The command `classify`, for stacks that are whole and stacks that grow."""
