"""Keep the OpenGL driver from reading buffers of a layer that was removed.

Vispy enables vertex arrays when it draws points and never disables them.  When the layer is
removed, napari deletes its buffers in whatever OpenGL context is current; some drivers read them at
the next draw of an image all the same and crash (napari issue 6472; here Mesa's software driver).
"""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication
from vispy.gloo import gl

#: OpenGL promises at least so many; vispy's visuals use fewer.
_ARRAYS = 16


def guard(viewer: ViewerModel) -> None:
    """Disable the vertex arrays whenever a layer of a viewer is about to be removed.

    Vispy enables those that it needs again before each draw.  To call this twice is harmless.
    """
    viewer.layers.events.removing.connect(_disable)


def _disable(event: Any = None) -> None:
    """Disable them in every canvas; the last one's context stays the current one."""
    if QApplication.instance() is None:
        return
    for widget in QApplication.allWidgets():
        if isinstance(widget, QOpenGLWidget) and widget.isValid():
            widget.makeCurrent()
            for place in range(_ARRAYS):
                gl.glDisableVertexAttribArray(place)
