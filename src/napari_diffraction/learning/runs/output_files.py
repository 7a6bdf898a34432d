"""Where a training writes its model, and what it needs meanwhile."""

from __future__ import annotations

from pathlib import Path

from napari_diffraction.errors import InputError


def check_output(output: Path) -> None:
    """Raise `InputError` unless the name is that of a model file."""
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: a model is written as .safetensors; use this ending.")


def work_folder(output: Path) -> Path:
    """Make the folder ``OUTPUT.work`` of a training's data and checkpoint.

    Raises
    ------
    InputError
        The output is no name of a model file, or cannot be written.
    """
    check_output(output)
    work = output.with_name(output.name + ".work")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{output} cannot be written ({error.strerror}): choose another."
        ) from error
    return work
