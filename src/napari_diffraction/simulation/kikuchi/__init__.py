"""Simulated Kikuchi patterns and scans.

In come structures and orientations; out go patterns with their truth.
"""
