"""What patterns truly are, as files, folders and persons tell it, and how that is split into parts.

In come files; out go labelled stacks to learn from and to judge by.
"""
