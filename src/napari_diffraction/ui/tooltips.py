"""Every tooltip of the classification and review panels, in one place."""

from __future__ import annotations

CLASSIFY = {
    "layer": "The stack of patterns to sort. Open a file or a folder if it is not in the list.",
    "model": "The model that sorts the patterns. What it was made for stands below.",
    "device": (
        "Where the network runs. 'auto' takes a graphics card where there is one, "
        "else the processor."
    ),
    "batch_size": (
        "Patterns sorted at a time (number). Take fewer if memory runs short; "
        "Cancel acts within one batch."
    ),
    "shares": (
        "How often each class is expected. In an ordinary serial experiment about 3 % of the "
        "patterns are zones; choose 'all classes alike' for data sorted by hand."
    ),
    "threshold": (
        "Confidence, from 0 to 1, below which a pattern counts as doubtful "
        "and is put forward for review."
    ),
    "run": "Sort all patterns of the stack. Results appear as they are found.",
    "continue": "Go on where the last run was cancelled.",
    "cancel": "Stop after the batch at work. What is sorted so far is kept.",
    "all": "Show the whole stack again.",
    "class": "Open the patterns of this class as a stack of their own, the most probable first.",
    "histogram": (
        "Number of patterns (height: square root) by confidence, coloured by class. "
        "Click on a bar to see and review only those patterns; click again to see all. "
        "The dashed line is the confidence threshold."
    ),
    "clear_filter": "Show the patterns of every confidence again.",
    "review": "Look at the doubtful patterns, the least certain first, and give each its class.",
}

REVIEW = {
    "next": "Show the pattern that the model is least sure of and nobody has decided on (key N).",
    "label": "Give this pattern the class {label} and go on to the next (key {key}).",
    "probability": "The model's probability of this class, from 0 to 1.",
    "undo": "Take back the last decision (Ctrl+Z).",
    "threshold": CLASSIFY["threshold"],
    "accept": (
        "Accept the model's class for every pattern at or above the threshold "
        "on which nobody has decided. Ctrl+Z takes it back."
    ),
    "progress": "Doubtful patterns that somebody has decided on, of all doubtful patterns.",
    "table": "Open napari's table of features: one row for each pattern; click on a row to see it.",
    "export_what": "What to write: the whole table, or the patterns of one class.",
    "export_class": "The class whose patterns are written, the most probable first.",
    "export": "Choose a file name and write it.",
    "continue": "Take up the saved review with all its decisions.",
    "anew": "Begin without the saved decisions. They are set aside on the disk, not deleted.",
    "classify": "Open the panel that sorts the patterns of a stack.",
}
