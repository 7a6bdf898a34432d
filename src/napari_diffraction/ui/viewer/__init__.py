"""What happens in the viewer: layers of a stack, navigation, keys, overlays, the coordinator.

In come layers and stacks; out go layers that follow each other.
"""
