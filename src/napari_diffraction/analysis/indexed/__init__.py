"""What is done with a scan that was indexed: files, figures, words, comparison.

In comes an `IndexedMap`; out go JSON, tables, maps of other programs and pictures.
"""
