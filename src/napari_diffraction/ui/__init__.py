"""The napari plugin; the only room that imports napari or Qt."""
