"""The settings a person makes in napari's preferences."""

from __future__ import annotations

from typing import Any


def preference(name: str, default: Any) -> Any:
    """Return a setting of the manifest's section ``classification``."""
    try:
        from napari.settings import get_plugin_settings

        return getattr(get_plugin_settings("napari-diffraction").classification, name)
    except (ImportError, KeyError, AttributeError):  # an older napari knows no plugin settings
        return default
