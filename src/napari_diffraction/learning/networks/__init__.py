"""Networks, and what each of them looks at: one view of a pattern, alike in training and in use.

In come frames of a `PatternStack`; out go the tensors that a network takes, and its opinions.
"""
