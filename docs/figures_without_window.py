"""Show in the gallery the figures that the library made, of which pyplot does not know."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_seen: WeakSet[Figure] = WeakSet()


def _get_sg_image_scraper() -> Any:
    """Sphinx-gallery asks for it."""
    return _scrape


def _scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures among the variables of an example, and return how a page shows them."""
    paths = []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and value not in _seen:
            _seen.add(value)
            if value.canvas.manager is None:  # those of pyplot have one until they are closed
                paths.append(next(block_vars["image_path_iterator"]))
                value.savefig(paths[-1], dpi=100, bbox_inches="tight")
    return str(figure_rst(paths, gallery_conf["src_dir"]))
