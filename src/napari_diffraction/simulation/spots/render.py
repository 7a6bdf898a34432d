"""Draw spot lists as detector images, many at a time, with every effect of the camera."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.simulation.conditions import DetectorEffects
from napari_diffraction.simulation.spots import noise

_INDEX = {item.name: i for i, item in enumerate(fields(DetectorEffects))}
(
    _EXTENT,
    _RADIUS,
    _SOFT,
    _C_RADIUS,
    _SIGNAL,
    _C_SIGNAL,
    _BACKGROUND,
    _HALO,
    _HALO_WIDTH,
    _CARBON,
    _ICE,
    _POISSON,
    _READ,
    _GAIN,
    _OFFSET,
    _SATURATION,
    _HOT,
    _DEAD,
    _GAP,
    _STOP,
    _ARM,
    _ARM_ANGLE,
    _SHIFT_X,
    _SHIFT_Y,
    _ELLIPTIC,
    _ELLIPTIC_ANGLE,
    _DISTORTION,
    _LONG,
    _LONG_ANGLE,
    _MISSING,
    _FALSE,
    _JITTER,
) = range(len(_INDEX))

#: Rings of amorphous carbon and of hexagonal ice: plane spacing in A, relative height, width 1/A.
_CARBON_RINGS = np.array([[2.1, 1.0, 0.05], [1.2, 0.6, 0.06]])
_ICE_RINGS = np.array(
    [
        [3.90, 1.0, 0.004],
        [3.67, 0.8, 0.004],
        [3.44, 0.7, 0.004],
        [2.67, 0.3, 0.004],
        [2.25, 0.6, 0.004],
        [2.07, 0.4, 0.004],
        [1.92, 0.4, 0.004],
    ]
)
_RADIAL_STEPS = 2048
#: A spot counts as seen where it stands out of the noise of its area by this factor.
_VISIBLE_SNR = 6.0
#: A spot fainter than this share of a mean one is lost beside the others.
_VISIBLE_SHARE = 0.01
#: A spot is drawn out to where it has fallen to this many counts, or to a twentieth if it is faint.
_FAINT = 0.05
_LN2 = float(np.log(2))


@dataclass(frozen=True)
class Rendered:
    """Images, and what of the spots can be seen on them.

    Attributes
    ----------
    images : ndarray, (n, size, size)
        uint8, 0 and 255, where no pattern has a signal, else uint16.
    position : ndarray of float32, (m, 2)
        Pixel position x, y of every spot as drawn.
    visible : ndarray of bool, (m,)
        Whether the spot lies on the frame, is not hidden, and stands out of the noise.
    """

    images: NDArray[Any]
    position: NDArray[np.float32]
    visible: NDArray[np.bool_]


def render(
    start: NDArray[np.int64],
    position: NDArray[np.float32],
    intensity: NDArray[np.float32],
    effects: NDArray[np.float64],
    resolution: NDArray[np.float64],
    size: int,
    seed: int = 0,
) -> Rendered:
    """Draw patterns.

    Parameters
    ----------
    start : ndarray of int64, (n + 1,)
        Pattern i owns the spots ``start[i]:start[i + 1]``.
    position : ndarray of float32, (m, 2)
        Reciprocal coordinates in 1/A, x to the right and y down.
    intensity : ndarray of float32, (m,)
        Relative intensity; 1 is a spot of `DetectorEffects.signal`.
    effects : ndarray, (n, n_fields) or (n_fields,)
        Rows of `DetectorEffects.row`, one a pattern or one for all; all or none have a signal.
    resolution : ndarray, (n,)
        Resolution limit in A, which `DetectorEffects.extent` places on the frame.
    size
        Height and width in pixels.
    seed
        Pattern i draws from its own stream of random numbers, made of the seed and i.
    """
    n = len(start) - 1
    rows = np.ascontiguousarray(np.broadcast_to(effects, (n, len(_INDEX))), dtype=float)
    limits = np.ascontiguousarray(np.broadcast_to(resolution, n), dtype=float)
    drawn = np.empty((len(position), 2), dtype=np.float32)
    visible = np.zeros(len(position), dtype=np.bool_)
    position = np.ascontiguousarray(position, dtype=np.float32)
    intensity = np.ascontiguousarray(intensity, dtype=np.float32)
    seeds = np.random.SeedSequence(seed).generate_state(max(n, 1), np.uint64)
    in_counts = bool(np.any(rows[:, _SIGNAL] > 0))
    args = (start, position, intensity, rows, limits, seeds, drawn, visible, noise.NORMAL)
    if in_counts:
        images: NDArray[Any] = np.empty((n, size, size), dtype=np.uint16)
        _render_counts(*args, noise.POISSON, images)
    else:
        images = np.zeros((n, size, size), dtype=np.uint8)
        _render_binary(*args, images)
    return Rendered(images, drawn, visible)


def frame_scale(effects: DetectorEffects, resolution: float, size: int) -> float:
    """Pixels per 1/A that place the resolution limit at `DetectorEffects.extent`."""
    return effects.extent * size / 2 * resolution


def frame_centre(effects: DetectorEffects, size: int) -> tuple[float, float]:
    """Position x, y of the direct beam in pixels."""
    middle = (size - 1) / 2
    return middle + effects.shift_x * size, middle + effects.shift_y * size


@nb.njit(cache=True, error_model="numpy")
def _place(e, limit, size, state, normal_table, source, drawn):  # type: ignore[no-untyped-def]
    """Put the spots of one pattern on the frame; return the centre."""
    scale = e[_EXTENT] * size / 2 * limit
    cx = (size - 1) / 2 + e[_SHIFT_X] * size
    cy = (size - 1) / 2 + e[_SHIFT_Y] * size
    angle = np.radians(e[_ELLIPTIC_ANGLE])
    c, s, stretch = np.cos(angle), np.sin(angle), e[_ELLIPTIC]
    for j in range(len(source)):
        x, y = source[j, 0] * scale, source[j, 1] * scale
        along = (c * x + s * y) * stretch
        x, y = x + along * c, y + along * s
        if e[_DISTORTION] != 0:
            bend = 1 + e[_DISTORTION] * (x * x + y * y) / (size * size / 4)
            x, y = x * bend, y * bend
        if e[_JITTER] > 0:
            bits = noise.next_bits(state)
            x += e[_JITTER] * noise.normal(bits, normal_table)
            y += e[_JITTER] * noise.normal(bits >> np.uint64(16), normal_table)
        drawn[j, 0] = cx + x
        drawn[j, 1] = cy + y
    return cx, cy


@nb.njit(cache=True, error_model="numpy")
def _hidden(e, x, y, cx, cy, size):  # type: ignore[no-untyped-def]
    """Whether a place lies off the frame, under the beam stop or in a gap."""
    if x < 0 or y < 0 or x > size - 1 or y > size - 1:
        return True
    half = size / 2
    if e[_GAP] > 0:
        middle = (size - 1) / 2
        if abs(x - middle) < e[_GAP] / 2 or abs(y - middle) < e[_GAP] / 2:
            return True
    dx, dy = x - cx, y - cy
    if e[_STOP] > 0 and dx * dx + dy * dy < (e[_STOP] * half) ** 2:
        return True
    if e[_ARM] > 0:
        c, s = np.cos(np.radians(e[_ARM_ANGLE])), np.sin(np.radians(e[_ARM_ANGLE]))
        along, across = c * dx + s * dy, c * dy - s * dx
        if along > 0 and abs(across) < e[_ARM] * half:
            return True
    return False


@nb.njit(cache=True, error_model="numpy")
def fill_disc(image, x, y, radius, value):  # type: ignore[no-untyped-def]
    """Fill a disc; always at least the nearest pixel."""
    size = image.shape[0]
    for i in range(max(0, int(np.ceil(y - radius))), min(size - 1, int(y + radius)) + 1):
        for j in range(max(0, int(np.ceil(x - radius))), min(size - 1, int(x + radius)) + 1):
            if (i - y) ** 2 + (j - x) ** 2 <= radius * radius:
                image[i, j] = value
    i, j = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    if 0 <= i < size and 0 <= j < size:
        image[i, j] = value


@nb.njit(parallel=True, cache=True, error_model="numpy")
def _render_binary(  # type: ignore[no-untyped-def]
    start, position, intensity, rows, limits, seeds, drawn, visible, normals, images
):
    size = images.shape[1]
    for p in nb.prange(len(start) - 1):
        e = rows[p]
        state = np.zeros(1, dtype=np.uint64)
        state[0] = seeds[p]
        mine = slice(start[p], start[p + 1])
        cx, cy = _place(e, limits[p], size, state, normals, position[mine], drawn[mine])
        n = start[p + 1] - start[p]
        for j in range(start[p], start[p + 1]):
            x, y = drawn[j, 0], drawn[j, 1]
            skip = e[_MISSING] > 0 and noise.uniform(state) < e[_MISSING]
            if skip or intensity[j] <= 0 or _hidden(e, x, y, cx, cy, size):
                continue
            # what lies wholly within the direct beam cannot be told from it
            visible[j] = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) + e[_RADIUS] > e[_C_RADIUS]
            fill_disc(images[p], x, y, e[_RADIUS], 255)
        for _ in range(int(np.floor(e[_FALSE] * n + noise.uniform(state)))):
            x, y = _false_place(e, limits[p], size, cx, cy, state)
            if not _hidden(e, x, y, cx, cy, size):
                fill_disc(images[p], x, y, e[_RADIUS], 255)
        if e[_C_RADIUS] > 0 and not _hidden(e, cx, cy, cx, cy, size):
            fill_disc(images[p], cx, cy, e[_C_RADIUS], 255)


@nb.njit(cache=True, error_model="numpy")
def _false_place(e, limit, size, cx, cy, state):  # type: ignore[no-untyped-def]
    """Draw a random place within the resolution limit."""
    r = e[_EXTENT] * size / 2 * np.sqrt(noise.uniform(state))
    angle = 2 * np.pi * noise.uniform(state)
    return cx + r * np.cos(angle), cy + r * np.sin(angle)


@nb.njit(cache=True, error_model="numpy")
def _radial_background(e, limit, size, radial):  # type: ignore[no-untyped-def]
    """Fill the background against the distance from the direct beam; return its step in pixels."""
    half = size / 2
    step = 3.0 * half / (_RADIAL_STEPS - 1)
    scale = e[_EXTENT] * half * limit
    for k in range(_RADIAL_STEPS):
        r = k * step
        value = e[_BACKGROUND]
        if e[_HALO] > 0:
            value += e[_HALO] / (1 + (r / (e[_HALO_WIDTH] * half)) ** 2) ** 1.5
        g = r / scale
        if e[_CARBON] > 0:
            for ring in _CARBON_RINGS:
                value += e[_CARBON] * ring[1] * np.exp(-0.5 * ((g - 1 / ring[0]) / ring[2]) ** 2)
        if e[_ICE] > 0:
            for ring in _ICE_RINGS:
                width = max(ring[2], 1.0 / scale)
                value += e[_ICE] * ring[1] * np.exp(-0.5 * ((g - 1 / ring[0]) / width) ** 2)
        radial[k] = value
    return step


@nb.njit(cache=True, error_model="numpy")
def _blob(image, x, y, radius, softness, height, long, angle):  # type: ignore[no-untyped-def]
    """Add a spot: from a disc with a soft edge to a Gaussian whose half width is the radius."""
    size = image.shape[0]
    # An edge sharper than a pixel would make small spots flicker with their place on the grid.
    order = max(1.0, min(1.0 + 5.0 * (1.0 - softness) ** 2, radius / 0.75))
    reach = radius * (np.log(max(height / _FAINT, 20.0)) / _LN2) ** (0.5 / order)
    c, s = np.cos(angle), np.sin(angle)
    squeeze = 1 - 1 / (1 + long) ** 2
    reach *= 1 + long
    for i in range(max(0, int(np.ceil(y - reach))), min(size - 1, int(y + reach)) + 1):
        for j in range(max(0, int(np.ceil(x - reach))), min(size - 1, int(x + reach)) + 1):
            along = c * (j - x) + s * (i - y)
            d2 = (i - y) ** 2 + (j - x) ** 2 - squeeze * along * along
            d2 /= radius * radius
            image[i, j] += height * np.exp(-_LN2 * (d2 if order == 1.0 else d2**order))


@nb.njit(parallel=True, cache=True, error_model="numpy")
def _render_counts(  # type: ignore[no-untyped-def]
    start, position, intensity, rows, limits, seeds, drawn, visible, normals, poissons, images
):
    size = images.shape[1]
    for p in nb.prange(len(start) - 1):
        e = rows[p]
        state = np.zeros(1, dtype=np.uint64)
        state[0] = seeds[p]
        mine = slice(start[p], start[p + 1])
        cx, cy = _place(e, limits[p], size, state, normals, position[mine], drawn[mine])
        radial = np.empty(_RADIAL_STEPS, dtype=np.float32)
        step = _radial_background(e, limits[p], size, radial)
        light = np.empty((size, size), dtype=np.float32)
        per_pixel = np.float32(1.0 / step)
        last = np.int32(_RADIAL_STEPS - 1)
        for i in range(size):
            dy2 = np.float32((i - cy) ** 2)
            for j in range(size):
                dx = np.float32(j - cx)
                light[i, j] = radial[min(np.int32(np.sqrt(dy2 + dx * dx) * per_pixel), last)]
        root_area = np.sqrt(np.pi * (1 + e[_LONG])) * e[_RADIUS]
        angle = np.radians(e[_LONG_ANGLE])
        rounding = 1 / (12 * e[_GAIN] ** 2)  # variance, in counts, of whole detector units
        n = start[p + 1] - start[p]
        for j in range(start[p], start[p + 1]):
            x, y, height = drawn[j, 0], drawn[j, 1], intensity[j] * e[_SIGNAL]
            if (e[_MISSING] > 0 and noise.uniform(state) < e[_MISSING]) or height <= 0:
                continue
            _blob(light, x, y, e[_RADIUS], e[_SOFT], height, e[_LONG], angle)
            if _hidden(e, x, y, cx, cy, size):
                continue
            r = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
            level = radial[int(min(r / step, _RADIAL_STEPS - 1.0))]
            spread = np.sqrt((level + height * 0.5) * e[_POISSON] + e[_READ] ** 2 + rounding)
            stands_out = height * root_area > _VISIBLE_SNR * spread
            bright = height > _VISIBLE_SHARE * e[_SIGNAL]
            visible[j] = stands_out and bright and r > 1.3 * e[_C_RADIUS]
        for _ in range(int(np.floor(e[_FALSE] * n + noise.uniform(state))) if n else 0):
            x, y = _false_place(e, limits[p], size, cx, cy, state)
            like = start[p] + np.int64(noise.uniform(state) * n)
            like_height = intensity[like] * e[_SIGNAL]
            _blob(light, x, y, e[_RADIUS], e[_SOFT], like_height, e[_LONG], angle)
        if e[_C_RADIUS] > 0:
            beam = e[_C_SIGNAL] * e[_SIGNAL]
            _blob(light, cx, cy, e[_C_RADIUS], e[_SOFT], beam, e[_LONG], angle)
        _detect(e, light, images[p], cx, cy, state, normals, poissons)


@nb.njit(cache=True, error_model="numpy")
def _shade(e, light, cx, cy):  # type: ignore[no-untyped-def]
    """Darken what the beam stop and the gaps hide (a beam stop lets a little light by)."""
    size = light.shape[0]
    arm = e[_ARM] * size / 2
    c, s = np.cos(np.radians(e[_ARM_ANGLE])), np.sin(np.radians(e[_ARM_ANGLE]))
    disc2 = (e[_STOP] * size / 2) ** 2
    for i in range(size):
        gap_row = e[_GAP] > 0 and abs(i - (size - 1) / 2) < e[_GAP] / 2
        for j in range(size):
            if gap_row or (e[_GAP] > 0 and abs(j - (size - 1) / 2) < e[_GAP] / 2):
                light[i, j] = 0
                continue
            dx, dy = j - cx, i - cy
            on_arm = c * dx + s * dy > 0 and abs(c * dy - s * dx) < arm
            if on_arm or dx * dx + dy * dy < disc2:
                light[i, j] *= np.float32(0.02)


@nb.njit(cache=True, error_model="numpy")
def _detect(e, light, image, cx, cy, state, normals, poissons):  # type: ignore[no-untyped-def]
    """Turn light into detector units: shadows, noise, gain, bad pixels, saturation."""
    size = light.shape[0]
    noisy = e[_POISSON] > 0
    read, gain = np.float32(e[_READ]), np.float32(e[_GAIN])
    offset, top = np.float32(e[_OFFSET] + 0.5), np.float32(e[_SATURATION])
    if e[_STOP] > 0 or e[_ARM] > 0 or e[_GAP] > 0:
        _shade(e, light, cx, cy)
    counter = noise.next_bits(state)
    for i in range(size):
        for j in range(size):
            value = light[i, j]
            counter += np.uint64(1)
            bits = noise.mix(counter)
            if noisy:
                value = noise.poisson(value, bits, normals, poissons)
            value += read * noise.normal(bits >> np.uint64(32), normals)
            value = value * gain + offset
            image[i, j] = np.uint16(min(max(value, np.float32(0)), top))
    pixels = size * size
    for _ in range(int(np.floor(e[_HOT] * pixels + noise.uniform(state)))):
        i, j = int(noise.uniform(state) * size), int(noise.uniform(state) * size)
        bright = (1 + 50 * noise.uniform(state)) * max(e[_SIGNAL], 1.0) * e[_GAIN] + e[_OFFSET]
        image[i, j] = np.uint16(min(max(bright, 0.0), e[_SATURATION]))
    for _ in range(int(np.floor(e[_DEAD] * pixels + noise.uniform(state)))):
        i, j = int(noise.uniform(state) * size), int(noise.uniform(state) * size)
        image[i, j] = 0
