"""Parts of which panels are made: the frame, bars, charts, lists, fields.

Nothing here knows a viewer or a stack.
"""
