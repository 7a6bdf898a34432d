"""Classifiers: a network with its card, in one ``.safetensors`` file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.model_card import CARD_VERSION, ModelCard
from napari_diffraction.learning.models.calibration import probabilities
from napari_diffraction.learning.models.leakage import HASHES

if TYPE_CHECKING:
    import torch

    from napari_diffraction.learning.models.kinds import Kind

#: A heading larger than this is not one of ours.
_MOST_HEADING = 1 << 23
#: What reading the heading of another kind of file may raise.
_NOT_OURS = (ValueError, KeyError, TypeError, RecursionError)


@dataclass
class Classifier:
    """A network that is ready to judge patterns."""

    card: ModelCard
    network: Any
    device: torch.device | None = None

    def to(self, device: torch.device) -> Classifier:
        """Move the network to a device."""
        self.network.to(device)
        self.device = device
        return self

    @property
    def kind(self) -> Kind:
        """How networks of this kind look at patterns."""
        from napari_diffraction.learning.models.kinds import NETWORKS

        return NETWORKS[self.card.network].of(self.card)

    def logits(self, seen: Sequence[Any]) -> dict[str, NDArray[np.float32]]:
        """Judge what the looker of this kind of network gave; return the logits of every head.

        Returns
        -------
        dict
            Each (n, n_outputs).  Where the card asks for it, the class's are the mean over the
            pattern and its mirror image.

        Raises
        ------
        InputError
            The memory of the graphics card does not suffice.
        """
        import torch

        from napari_diffraction.learning.models.device import halves_are_quick

        head = self.kind.head
        try:
            with torch.inference_mode():
                inputs = [one.to(self.device) for one in self.kind.tensors(seen)]
                device = self.device or torch.device("cpu")
                halves = device.type == "cpu" and halves_are_quick(device)
                with torch.autocast("cpu", torch.bfloat16, enabled=halves):
                    out = self.network(*inputs)
                    if self.card.preprocessing.get("mirror"):
                        mirrored = self.network(*(x.flip(-1) for x in inputs))
                        out[head] = (out[head] + mirrored[head]) / 2
            return {name: values.float().cpu().numpy() for name, values in out.items()}
        except torch.cuda.OutOfMemoryError as error:
            raise InputError(
                "The memory of the graphics card ran out: take a smaller batch, or the device cpu."
            ) from error

    def probabilities(
        self, seen: Sequence[Any], shares: Mapping[str, float] | None = None
    ) -> NDArray[np.float64]:
        """Judge views; return calibrated probabilities at the given class shares.

        Parameters
        ----------
        seen
            What the looker of this kind of network gave.
        shares
            Expected shares of the classes.

        Returns
        -------
        ndarray, (n, n_classes)
        """
        card = self.card
        return probabilities(
            self.logits(seen)[self.kind.head],
            card.scale,
            card.bias,
            card.classes,
            card.shares,
            shares,
        )


def save_classifier(
    network: Any, card: ModelCard, path: Path, training_hashes: Sequence[str] = ()
) -> None:
    """Write a model, its weights in half precision and its card as JSON in the heading.

    Weights that half precision cannot hold are written in single precision.

    Parameters
    ----------
    network, card
        The model.
    path
        The file, ``.safetensors``.
    training_hashes
        Digests of the patterns that it was trained on, see `learning.models.leakage`.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    from safetensors.torch import save

    from napari_diffraction.learning.runs.schedule import shipped

    tensors = {
        name: shipped(values).cpu().contiguous() for name, values in network.state_dict().items()
    }
    values = asdict(card)
    del values["path"]
    values["sha256"] = _digest(values, tensors)
    entries = {"card": json.dumps(values)}
    if training_hashes:
        entries[HASHES] = "".join(training_hashes)
    data = _in_order(save(tensors, metadata=entries))
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _in_order(data: bytes) -> bytes:
    """Sort the heading of a file, whose order would change from run to run."""
    end = 8 + int.from_bytes(data[:8], "little")
    heading = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    heading += b" " * (-len(heading) % 8)
    return len(heading).to_bytes(8, "little") + heading + data[end:]


def _digest(card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> str:
    """Digest of card and weights, by which a damaged file is told."""
    text = json.dumps({key: value for key, value in card.items() if key != "sha256"})
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        values = tensors[name].numpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def read_card(path: str | Path) -> ModelCard:
    """Read the card of a model file, and nothing else of it.

    Raises
    ------
    InputError
        The file is missing, is damaged, or is not one of our models.
    """
    path = Path(path)
    return _card(path, _read_values(path))


def _read_values(path: Path) -> dict[str, Any]:
    """Read what the heading of a model file holds as its card, of whatever version."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 < length < min(_MOST_HEADING, path.stat().st_size):
                raise ValueError("no heading")
            values: dict[str, Any] = json.loads(
                json.loads(file.read(length))["__metadata__"]["card"]
            )
        later = values["version"] > CARD_VERSION
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such model file; check the name.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its rights.") from error
    except _NOT_OURS as error:
        raise _not_ours(path) from error
    if later:
        raise InputError(f"{path} was made by a later version: update napari-diffraction.")
    return values


def _card(path: Path, values: dict[str, Any]) -> ModelCard:
    from napari_diffraction.learning.models.checked_card import check_card

    known = {item.name for item in fields(ModelCard)}
    values = {key: value for key, value in values.items() if key in known}
    try:
        check_card(values)
        values["classes"], values["bias"] = tuple(values["classes"]), tuple(values["bias"])
        return ModelCard(**values | {"path": str(path)})
    except _NOT_OURS as error:
        raise _not_ours(path) from error


def _not_ours(path: Path) -> InputError:
    return InputError(
        f"{path} is not a model of napari-diffraction, or is damaged: fetch or train it anew."
    )


def load_classifier(path: str | Path) -> Classifier:
    """Read a model file; nothing in it is ever unpickled.

    Raises
    ------
    InputError
        The file is missing or damaged, or holds another network than its card says.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from napari_diffraction.learning.models.kinds import NETWORKS

    path = Path(path)
    values = _read_values(path)
    card = _card(path, values)
    if card.network not in NETWORKS:
        raise InputError(
            f"{path} holds a network '{card.network}' that this version does not know: "
            "update napari-diffraction."
        )
    kind = NETWORKS[card.network]
    try:
        tensors = load_file(path)
        if _digest(values, tensors) != values.get("sha256"):
            raise ValueError("changed since it was written")
        with torch.device("meta"):  # whatever size the card claims, nothing is set aside for it
            network = kind.build(n_classes=len(card.classes), **card.options)
        if misfit := kind.misfit(card):
            raise InputError(f"{path} was made by another version, {misfit}: train it anew.")
        network.load_state_dict(
            {name: (v.float() if v.is_floating_point() else v) for name, v in tensors.items()},
            assign=True,
        )
    except (SafetensorError, RuntimeError, TypeError, ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{path} is damaged, or its weights are of another network: fetch or train it anew."
        ) from error
    return Classifier(card, network.eval())
