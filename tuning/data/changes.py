"""A training step changes a whole batch of films at random: framing, exposure, quality, and things laid on the film.

They leave the grade alone. What is drawn is drawn with NumPy, a row a film, so that a training can be repeated; what is
done with it are `keras.ops`, so that any backend does it where the films are. `kneeoa_hub.imaging.frame` is the same
step for one film without changes.
"""

from typing import Any, NamedTuple

import numpy as np

from kneeoa_hub.imaging.frame import AIR, BRIGHTEST, DARKEST, HIGH, LOW, MARGIN, SIDE

from ..run.keras_ops import ops

FAR = 9.0
"""A cut at this distance lies beyond any film, in sides of the joint."""
THINGS = 4
"""Up to four bright or dark rectangles lie on a film, as markers, letters, rulers and screws do."""
TILE = 8
"""A tile for local contrast, and a block of JPEG, has eight pixels per side."""
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""JPEG divides the coefficients of luminance by this table at quality 50 (ITU-T T.81, table K.1)."""


class Draws(NamedTuple):
    """Draws say what is done to each of B films; each is a float32 array, [B] unless it says otherwise.

    Lengths are in sides of the joint or of the frame.
    """

    mirror: np.ndarray  # 1: left and right change places
    turn: np.ndarray  # radians
    scale: np.ndarray  # of the frame over what it should be
    stretch: np.ndarray  # width over height of the frame
    shift: np.ndarray  # [B,2] of the frame's middle, sides of the joint
    cut: np.ndarray  # [B,4] distances from the joint at which the film ends, left, top, right, bottom
    slant: np.ndarray  # [B,3] direction (2) and distance from the joint of a slanted edge
    surround: np.ndarray  # 0: the film ends there; 1: a border is there; 2: the film is mirrored there
    border: np.ndarray  # gray of the border
    gamma: np.ndarray
    window: np.ndarray  # [B,2] grays that become 0 and 1
    local: np.ndarray  # proportion of local contrast (CLAHE) mixed in
    half: np.ndarray  # proportion of the film at half the resolution mixed in
    blur: np.ndarray  # deviation in pixels
    jpeg: np.ndarray  # factor of the quantisation table; 0 is none
    noise: np.ndarray  # deviation in grays of 0 to 1
    noise_at: np.ndarray  # [B,2] int32, where in the bank of noise
    things: np.ndarray  # [B,THINGS,7] there, x, y, half width, half height, angle, gray
    erase: np.ndarray  # [B,5] there, x, y, half width, half height
    mix: np.ndarray  # proportion of the film itself
    partner: np.ndarray  # [B] int32, the film of the batch that it is mixed with


def draw(
    rng: np.random.Generator, grades: np.ndarray, strength: float | np.ndarray, mixup: float = 0.0, erase: float = 0.0
) -> Draws:
    """Draw changes of B films.

    Args:
        rng: Where they are drawn from; the same state gives the same changes.
        grades: [B] of the films, so that a film is mixed with one of a neighbouring grade.
        strength: 0 (none) to 1, of all films or [B] of each.
        mixup: Parameter of the Beta distribution of the mix (Zhang et al., "mixup", ICLR 2018); 0 is none.
        erase: Proportion of the films of which a rectangle is erased (Zhong et al., "Random erasing", AAAI 2020).
    """
    count = len(grades)
    strength = np.broadcast_to(np.asarray(strength, np.float64), (count,))
    some = _Some(rng, strength)
    angle = rng.uniform(0, 2 * np.pi, count)
    mix = rng.beta(mixup, mixup, count) if mixup else np.ones(count)
    place = [rng.random((count, 1)) < erase, rng.uniform(-0.4, 0.4, (count, 2)), rng.uniform(0.05, 0.18, (count, 2))]
    return Draws(
        mirror=some.of(0.5, np.ones(count), 0.0),
        turn=some.spread(0.2),
        scale=np.exp(some.spread(0.17)),
        stretch=np.exp(some.spread(0.06)),
        shift=_float32(np.clip(rng.normal(0, 0.03, (count, 2)), -0.09, 0.09) * strength[:, None]),
        cut=_cuts(rng, some),
        slant=_float32(np.stack([np.cos(angle), np.sin(angle), some.of(0.2, some.between(0.26, 0.48), FAR)], 1)),
        surround=_float32(np.where(strength > 0, rng.choice([0.0, 1.0, 2.0], count, p=[0.5, 0.35, 0.15]), 0.0)),
        border=_float32(rng.choice([0.0, 0.0, 0.02, 0.5, 1.0], count)),
        gamma=np.exp(some.spread(0.8)),
        window=np.stack([some.of(0.25, some.between(0, 0.2), 0.0), some.of(0.25, some.between(0.75, 1.0), 1.0)], 1),
        local=some.of(0.3, some.between(0.2, 1.0), 0.0),
        half=some.of(0.15, some.between(0.5, 1.0), 0.0),
        blur=some.of(0.3, some.between(0.4, 2.4), 0.0),
        jpeg=some.of(0.4, np.exp(some.between(np.log(0.4), np.log(3.6))), 0.0),
        noise=some.of(0.35, np.exp(some.between(np.log(0.01), np.log(0.08))), 0.0),
        noise_at=rng.integers(0, BANK, (count, 2)).astype(np.int32),
        things=_things(rng, some),
        erase=_float32(np.concatenate(place, 1)),
        mix=_float32(np.maximum(mix, 1 - mix)),
        partner=_partners(grades, rng),
    )


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


class _Some:
    """This class draws values for B films, each of which has its own strength."""

    def __init__(self, rng: np.random.Generator, strength: np.ndarray):
        self._rng, self._strength = rng, strength
        self.count = len(strength)

    def between(self, low: float, high: float) -> np.ndarray:
        """Return [B] values drawn evenly from a range."""
        return self._rng.uniform(low, high, self.count)

    def spread(self, reach: float) -> np.ndarray:
        """Return [B] about 0, up to `reach` at full strength."""
        return _float32(self.between(-reach, reach) * self._strength)

    def of(self, probability: float, values: np.ndarray, otherwise: float) -> np.ndarray:
        """Return a value for each film: its own where the change happens, and `otherwise` where it does not.

        Args:
            probability: Proportion of the films that are changed, at full strength.
            values: The values [B,...] of changed films.
            otherwise: The value of films that are not changed.
        """
        happens = self._rng.random(self.count) < probability * self._strength
        return _float32(np.where(happens.reshape(-1, *(1,) * (values.ndim - 1)), values, otherwise))


def _cuts(rng: np.random.Generator, some: _Some) -> np.ndarray:
    """Return cuts [B,4]: half of the films lose some sides, and an eighth become strips about the joint line."""
    near = rng.uniform(0.24, 0.46, (some.count, 4))
    cut = some.of(0.5, np.where(rng.random(near.shape) < 0.5, near, FAR), FAR)
    strip = some.of(0.12, np.ones(some.count), 0.0) > 0
    cut[strip, 1], cut[strip, 3] = rng.uniform(0.2, 0.32, (2, strip.sum()))
    return cut


def _things(rng: np.random.Generator, some: _Some) -> np.ndarray:
    """Return [B,THINGS,7]: mostly away from the joint's middle, on nearly a third of the films."""
    shape = some.count, THINGS
    on_film = some.of(0.3, np.ones(some.count), 0.0)[:, None] > 0
    radius = np.where(rng.random(shape) < 0.12, rng.uniform(0, 0.2, shape), rng.uniform(0.2, 0.5, shape))
    angle, size = rng.uniform(0, 2 * np.pi, shape), np.exp(rng.uniform(np.log(0.008), np.log(0.09), (2, *shape)))
    turn, gray = rng.uniform(0, np.pi, shape), rng.choice([0.0, 0.7, 1.0, 1.0], shape)
    there = on_film & (rng.random(shape) < 0.5)
    return _float32(np.stack([there, radius * np.cos(angle), radius * np.sin(angle), *size, turn, gray], -1))


BANK = 768
"""The bank of noise has 768 pixels per side."""


def noise_bank(rng: np.random.Generator) -> np.ndarray:
    """Return [BANK,BANK] float32 of deviation 1, of which a part is laid on each film."""
    return rng.standard_normal((BANK, BANK), np.float32)


def _partners(grades: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every film another one of the batch of the same or a neighbouring grade, or itself."""
    order = np.argsort(grades + rng.uniform(0, 0.99, len(grades)))
    partner = np.empty(len(grades), np.int32)
    partner[order] = np.roll(order, 1)
    apart = np.abs(grades[partner] - grades) > 1
    partner[apart] = np.arange(len(grades))[apart]
    return partner


def framed(films: Any, joints: Any, content: Any, draws: Draws, bank: Any, side: int = SIDE) -> Any:
    """Return the changed films as a network sees them: [B,side,side,1] float32.

    Args:
        films: The films [B,H,W] uint8, with bright bone.
        joints: The middle x, y and the side of each joint's box [B,3], in pixels of the array.
        content: Left, top, right and bottom of each film [B,4], in pixels of the array.
        draws: The changes that were drawn for each film.
        bank: The noise that films share.
        side: The side of the network's input, in pixels.
    """
    x, y = _places(joints, draws, side)
    inside, x, y = _within(x, y, joints, content, draws)
    image = ops.clip(_sampled(films, x, y) / 255.0, 1e-4, 1.0) ** _each(draws.gamma)
    low, high = _each(draws.window[:, 0]), _each(draws.window[:, 1])
    image = ops.clip((image - low) / (high - low), 0.0, 1.0)
    bordered = ops.where(_each(draws.surround) == 1.0, _each(draws.border), _each(ops.mean(image, axis=(1, 2))))
    image = ops.where(inside, image, bordered)
    image = _with_things(image, draws.things)
    image = image + _each(draws.local) * (_locally_equal(image) - image)
    image = image + _each(draws.half) * (_halved(image) - image)
    image = _blurred(image, draws.blur)
    image = image + _each(draws.noise) * _noise(bank, draws.noise_at, side)
    image = compressed(ops.clip(image, 0.0, 1.0), draws.jpeg)
    beyond = ops.logical_and(ops.logical_not(inside), _each(draws.surround) == 0.0)
    values = _exposed(image, beyond)
    values = ops.where(_rectangles(draws.erase[:, None, 1:], side)[:, 0] * _each(draws.erase[:, 0]) > 0, 0.0, values)
    values = ops.where(_each(draws.mirror) > 0, ops.flip(values, axis=2), values)
    proportion = _each(draws.mix)
    values = proportion * values + (1 - proportion) * ops.take(values, draws.partner, axis=0)
    return values[..., None]


def _each(values: Any) -> Any:
    """Reshape [B] to [B,1,1]."""
    return ops.reshape(values, (-1, 1, 1))


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return places of a frame's pixels, [1,side,side] each, from -.5 to .5: right, down."""
    steps = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    return np.broadcast_to(steps[None, None, :], (1, side, side)), np.broadcast_to(
        steps[None, :, None], (1, side, side)
    )


def _places(joints: Any, draws: Draws, side: int) -> tuple[Any, Any]:
    """Return where in the film each pixel of the frame lies: x and y [B,S,S], a pixel's middle at .5."""
    across, down = _grid(side)
    across, down = across * _each(draws.stretch), down / _each(draws.stretch)
    cos, sin = _each(ops.cos(draws.turn)), _each(ops.sin(draws.turn))
    reach = _each(joints[:, 2] * draws.scale)
    x = _each(joints[:, 0] + draws.shift[:, 0] * joints[:, 2]) + reach * (cos * across - sin * down)
    y = _each(joints[:, 1] + draws.shift[:, 1] * joints[:, 2]) + reach * (sin * across + cos * down)
    return x, y


def _within(x: Any, y: Any, joints: Any, content: Any, draws: Draws) -> tuple[Any, Any, Any]:
    """Return which places show film, and the places, put back into it where the film is mirrored at its edges."""
    size = joints[:, 2]
    left = ops.maximum(content[:, 0], joints[:, 0] - draws.cut[:, 0] * size)
    top = ops.maximum(content[:, 1], joints[:, 1] - draws.cut[:, 1] * size)
    right = ops.minimum(content[:, 2], joints[:, 0] + draws.cut[:, 2] * size)
    bottom = ops.minimum(content[:, 3], joints[:, 1] + draws.cut[:, 3] * size)
    left, top, right, bottom = map(_each, (left, top, right, bottom))
    beyond = _each(draws.slant[:, 0]) * (x - _each(joints[:, 0])) + _each(draws.slant[:, 1]) * (y - _each(joints[:, 1]))
    shown = beyond < _each(draws.slant[:, 2] * size)
    inside = ops.logical_and(ops.logical_and(x >= left, x <= right), ops.logical_and(y >= top, y <= bottom))
    mirrored = _each(draws.surround) == 2.0
    x = ops.where(mirrored, ops.where(x < left, 2 * left - x, ops.where(x > right, 2 * right - x, x)), x)
    y = ops.where(mirrored, ops.where(y < top, 2 * top - y, ops.where(y > bottom, 2 * bottom - y, y)), y)
    return ops.logical_or(mirrored, ops.logical_and(inside, shown)), x, y


def _sampled(films: Any, x: Any, y: Any) -> Any:
    """Bilinear values of [B,H,W] at x, y [B,S,S]; beyond the array its edge."""
    _, height, width = films.shape
    x, y = ops.clip(x - 0.5, 0.0, width - 1.001), ops.clip(y - 0.5, 0.0, height - 1.001)
    column, row = ops.floor(x), ops.floor(y)
    right, down = x - column, y - row
    at = ops.cast(row, "int32") * width + ops.cast(column, "int32")
    flat = ops.reshape(films, (-1, height * width))
    shape = ops.shape(at)
    at = ops.reshape(at, (shape[0], -1))

    def value(offset: int) -> Any:
        return ops.reshape(ops.cast(ops.take_along_axis(flat, at + offset, axis=1), "float32"), shape)

    above = value(0) * (1 - right) + value(1) * right
    below = value(width) * (1 - right) + value(width + 1) * right
    return above * (1 - down) + below * down


def _rectangles(boxes: Any, side: int, angle: Any = None) -> Any:
    """Return rectangles [B,K,4] (x, y, half width, half height) as [B,K,S,S], 1 within."""
    across, down = _grid(side)
    x, y = across[None] - boxes[:, :, 0, None, None], down[None] - boxes[:, :, 1, None, None]
    if angle is not None:
        cos, sin = ops.cos(angle)[:, :, None, None], ops.sin(angle)[:, :, None, None]
        x, y = cos * x + sin * y, cos * y - sin * x
    within = ops.logical_and(ops.abs(x) < boxes[:, :, 2, None, None], ops.abs(y) < boxes[:, :, 3, None, None])
    return ops.cast(within, "float32")


def _with_things(image: Any, things: Any) -> Any:
    side = image.shape[1]
    masks = _rectangles(things[:, :, 1:5], side, things[:, :, 5]) * things[:, :, 0, None, None]
    for number in range(THINGS):
        image = image + masks[:, number] * (_each(things[:, number, 6]) - image)
    return image


def _pooled(image: Any, size: int) -> Any:
    """Return the means of the tiles of [B,S,S] as [B,S/size,S/size]."""
    side = image.shape[1]
    return ops.mean(ops.reshape(image, (-1, side // size, size, side // size, size)), axis=(2, 4))


def _enlarged(image: Any, side: int) -> Any:
    return ops.image.resize(image[..., None], (side, side), interpolation="bilinear")[..., 0]


def _smooth(image: Any) -> Any:
    """Apply a binomial filter over five places in each direction."""
    for axis in (1, 2):
        one = ops.roll(image, 1, axis) + ops.roll(image, -1, axis)
        two = ops.roll(image, 2, axis) + ops.roll(image, -2, axis)
        image = (6 * image + 4 * one + two) / 16
    return image


def _locally_equal(image: Any) -> Any:
    """Return each place by how it stands out from its surroundings, as local histogram equalisation shows it."""
    side = image.shape[1]
    tiles, squares = _pooled(image, TILE), _pooled(ops.square(image), TILE)
    mean, square = _smooth(tiles), _smooth(squares)
    deviation = ops.sqrt(ops.maximum(square - ops.square(mean), 0.0))
    mean, deviation = _enlarged(mean, side), _enlarged(deviation, side)
    return ops.clip(0.5 + 0.22 * (image - mean) / (deviation + 0.03), 0.0, 1.0)


def _halved(image: Any) -> Any:
    return _enlarged(_pooled(image, 2), image.shape[1])


def _blurred(image: Any, deviation: Any) -> Any:
    """Gaussian of each film's own deviation, over 13 pixels."""
    steps = np.arange(-6, 7, dtype=np.float32)
    weights = ops.exp(-0.5 * ops.square(steps[None] / (deviation[:, None] + 1e-3)))
    weights = weights / ops.sum(weights, axis=1, keepdims=True)
    for axis in (1, 2):
        image = sum(_each(weights[:, number]) * ops.roll(image, int(step), axis) for number, step in enumerate(steps))
    return image


def _noise(bank: Any, at: Any, side: int) -> Any:
    rows = at[:, 0, None] + np.arange(side, dtype=np.int32)[None]
    columns = at[:, 1, None] + np.arange(side, dtype=np.int32)[None]
    places = (rows % BANK)[:, :, None] * BANK + (columns % BANK)[:, None, :]
    return ops.take(ops.reshape(bank, (-1,)), places)


def _cosines() -> np.ndarray:
    """Return [8,8]: the orthonormal discrete cosine transform of type II."""
    steps = np.arange(TILE)
    matrix = np.sqrt(2 / TILE) * np.cos(np.pi * (2 * steps[None] + 1) * steps[:, None] / (2 * TILE))
    matrix[0] = np.sqrt(1 / TILE)
    return matrix.astype(np.float32)


def compressed(image: Any, factor: Any) -> Any:
    """Return films as JPEG leaves them, without its rounding to bytes, or unchanged where the factor is 0."""
    side, cosines = image.shape[1], _cosines()
    blocks = ops.reshape(image * 255.0 - 128.0, (-1, side // TILE, TILE, side // TILE, TILE))
    coefficients = ops.einsum("ij,bajck,lk->baicl", cosines, blocks, cosines)
    table = LUMINANCE[None, None, :, None, :] * ops.reshape(ops.maximum(factor, 1e-3), (-1, 1, 1, 1, 1))
    coefficients = ops.round(coefficients / table) * table
    blocks = ops.einsum("ij,baicl,lk->bajck", cosines, coefficients, cosines)
    back = ops.clip((ops.reshape(blocks, (-1, side, side)) + 128.0) / 255.0, 0.0, 1.0)
    return ops.where(_each(factor) > 0, back, image)


def _exposed(image: Any, beyond: Any) -> Any:
    """Return the frame's own exposure: the tissue has mean 0 and deviation 1; what lies beyond the film is dark."""
    side = image.shape[1]
    step, margin = max(1, side // 64), round(MARGIN * side)
    inner = slice(margin, side - margin, step)
    sample, hidden = image[:, inner, inner], beyond[:, inner, inner]
    count = sample.shape[1] * sample.shape[2]
    sample = ops.reshape(ops.where(hidden, 9.0, sample), (-1, count))
    known = ops.cast(sample < 9.0, "float32")
    ordered, last = ops.sort(sample, axis=1), ops.maximum(ops.sum(known, axis=1, keepdims=True), 1.0) - 1

    def at(percentile: float) -> Any:
        return ops.take_along_axis(ordered, ops.cast(ops.round(last * percentile / 100), "int32"), axis=1)

    darkest, brightest = at(LOW), at(HIGH)
    tissue = known * ops.cast(sample > darkest + AIR * (brightest - darkest), "float32")
    weight = tissue / ops.maximum(ops.sum(tissue, axis=1, keepdims=True), 1.0)
    sample = ops.minimum(sample, brightest)
    mean = ops.sum(weight * sample, axis=1, keepdims=True)
    deviation = ops.sqrt(ops.sum(weight * ops.square(sample - mean), axis=1, keepdims=True))
    scaled = (image - mean[:, :, None]) / ops.maximum(deviation[:, :, None], 1e-3)
    return ops.where(beyond, DARKEST, ops.clip(scaled, DARKEST, BRIGHTEST))
