"""The classes of pytorch-grad-cam that are used, without the seconds that the rest of it takes.

The package imports scikit-learn, torchvision, and Matplotlib's pyplot for methods and drawings that
nobody here asks for.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from napari_diffraction.learning.networks.triton import without_triton

_LIBRARY = "pytorch_grad_cam"
#: Modules, by their first name, that take long to import and are imported once they are used.
_LATER = ("matplotlib", "sklearn", "torchvision")
#: Where the classes are; later versions may move them.
_PLACES = {
    "GradCAM": "grad_cam",
    "GradCAMPlusPlus": "grad_cam_plusplus",
    "HiResCAM": "hirescam",
    "EigenCAM": "eigen_cam",
    "ClassifierOutputTarget": "utils.model_targets",
}
#: What another version may raise that cannot be had in parts.
_NOT_IN_PARTS = (ImportError, AttributeError, TypeError, ValueError, KeyError, NameError)


def cam_classes() -> Mapping[str, Any]:
    """Return the classes of the methods, and of the target, by their names in the library.

    They are in modules of our own, made of the library's files: whoever else imports the library
    gets the whole of it, and no other thread notices.  Where that fails, the whole library is
    imported.
    """
    try:
        parts = _Parts()
        return {name: getattr(parts.module(place), name) for name, place in _PLACES.items()}
    except _NOT_IN_PARTS:
        return _of_whole_library()


def _of_whole_library() -> Mapping[str, Any]:
    with without_triton():
        library = importlib.import_module(_LIBRARY)
        targets = importlib.import_module(f"{_LIBRARY}.utils.model_targets")
    return {name: getattr(library, name, None) or getattr(targets, name) for name in _PLACES}


class _Parts:
    """Modules of the library, each alone; its packages' own code does not run."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def module(self, place: str) -> ModuleType:
        """Return a module by its name within the library; it is made the first time."""
        if place not in self._modules:
            spec = _spec(f"{_LIBRARY}.{place}")
            module = module_from_spec(spec)
            module.__dict__["__builtins__"] = self._builtins
            if spec.loader is None:
                raise ImportError(place)
            spec.loader.exec_module(module)
            self._modules[place] = module
        return self._modules[place]

    def _import(
        self,
        name: str,
        globals_: Mapping[str, Any] | None = None,
        locals_: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Import for one of these modules."""
        first, _, rest = name.partition(".")
        if first == _LIBRARY:
            if not fromlist:
                raise ImportError(name)
            return self.module(rest)
        if first in _LATER and name not in sys.modules and not level:
            return _Later(name if fromlist else first)
        return builtins.__import__(name, globals_, locals_, fromlist or (), level)


def _spec(name: str) -> ModuleSpec:
    """Find a module without importing the packages above it."""
    package = name.rpartition(".")[0]
    path = _spec(package).submodule_search_locations if package else None
    spec = PathFinder.find_spec(name, path)
    if spec is None:
        raise ImportError(name)
    return spec


class _Later:
    """Something of a module that is imported when it is used."""

    def __init__(self, module: str, names: tuple[str, ...] = ()) -> None:
        self._module, self._names = module, names

    def __getattr__(self, name: str) -> _Later:
        return _Later(self._module, (*self._names, name))

    def __call__(self, *values: Any, **options: Any) -> Any:
        with without_triton():
            thing = importlib.import_module(self._module)
            for name in self._names:
                if not hasattr(thing, name):  # a module within it
                    importlib.import_module(f"{thing.__name__}.{name}")
                thing = getattr(thing, name)
        return thing(*values, **options)  # type: ignore[operator]
