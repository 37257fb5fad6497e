"""A film shows air, collimation, letters and metal beside the legs; one kind is for training and one for tests."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .shafts import grain

KINDS = ("plain", "odd")
"""The first kind is for training, and the second for tests."""
LETTERS = ("R", "L", "AP", "PA", "STANDING", "WB", "RIGHT", "LEFT", "R 15", "L 2")
ODD_LETTERS = ("D", "G", "re", "li", "12.03", "#4711", "KNEE AP", "60 kV", "100 cm", "0 10 20 30")

Boxes = np.ndarray
"""Boxes are [K,3] float: centre x, centre y and side of each joint's box in pixels."""


def background(height: int, width: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return the film of air: [height,width] float32, mostly dark, sometimes bright.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        kind: "plain", or "odd" with uneven air and lines of a table.
        rng: Draws the grays.
    """
    level = rng.uniform(0.45, 0.9) if rng.random() < 0.12 else rng.uniform(0, 0.12)
    air = np.full((height, width), level, np.float32)
    air += rng.uniform(0, 0.06) * np.linspace(-1, 1, width, dtype=np.float32)
    if kind == "odd":
        air += rng.uniform(0, 0.05) * grain(rng, height, width, height / 4, width / 4)
        if rng.random() < 0.3:  # the lines of a table or a grid
            step = max(4, round(max(height, width) * rng.uniform(0.02, 0.1)))
            air[:, int(rng.integers(step)) :: step] += rng.uniform(0.02, 0.1)
    return air


def with_metal(film: np.ndarray, boxes: Boxes, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a film with bright hardware above or below some joints, outside every joint's box.

    Args:
        film: The film [H,W] float32.
        boxes: The middle x, y and the side of each joint's box [N,3], in pixels.
        kind: "plain" gives plates, "odd" nails.
        rng: Draws the joints, the places and the grays.
    """
    layer = Image.new("L", film.shape[::-1])
    draw = ImageDraw.Draw(layer)
    for x, y, side in boxes:
        if rng.random() < 0.3:
            way = rng.choice((-1, 1))
            near, long = rng.uniform(0.62, 0.9), rng.uniform(0.3, 1.8)
            start, end = y + way * near * side, y + way * (near + long) * side
            x = x + rng.normal(0, 0.05) * side
            (_plate if kind == "plain" else _nail)(draw, x, start, end, side, rng)
    return _over(film, layer, boxes, rng.uniform(0.95, 1.25))


def with_letters(film: np.ndarray, boxes: Boxes, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a film with markers outside every joint's box.

    Args:
        film: The film [H,W] float32.
        boxes: The middle x, y and the side of each joint's box [N,3], in pixels.
        kind: "plain" gives bright letters, "odd" also dark ones on a bright box, and step wedges.
        rng: Draws the letters, the places and the grays.
    """
    height, width = film.shape
    layer = Image.new("L", (width, height))
    draw = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(0, 4))):
        text = str(rng.choice(LETTERS if kind == "plain" else ODD_LETTERS))
        font = ImageFont.load_default(max(8, max(height, width) * rng.uniform(0.02, 0.08)))
        x, y = rng.uniform(0, 0.9) * width, rng.uniform(0, 0.93) * height
        if kind == "odd" and rng.random() < 0.5:
            draw.rectangle(draw.textbbox((x, y), text, font), fill=255)
            draw.text((x, y), text, 40, font)
        else:
            draw.text((x, y), text, 255, font)
    if kind == "odd" and rng.random() < 0.15:  # a step wedge
        size = max(6, round(width * 0.06))
        for step in range(5):
            draw.rectangle((4, 4 + step * size, 4 + size, 4 + (step + 1) * size), fill=50 + 45 * step)
    return _over(film, layer, boxes, rng.uniform(0.8, 1.15))


def collimated(film: np.ndarray, boxes: Boxes, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a film that is black, sometimes bright, outside the beam, which holds every joint's box.

    Args:
        film: The film [H,W] float32.
        boxes: The middle x, y and the side of each joint's box [N,3], in pixels.
        kind: "plain" gives a rectangular beam, "odd" also other shapes.
        rng: Draws the edges and the gray outside.
    """
    if rng.random() < 0.5:
        return film
    height, width = film.shape
    outside = rng.uniform(0.7, 1.0) if rng.random() < 0.1 else rng.uniform(0, 0.08)
    if not len(boxes):
        boxes = np.array([[width / 2, height / 2, min(height, width) / 2]])
    half = boxes[:, 2] * 0.52
    left, top = max(0.0, (boxes[:, 0] - half).min()), max(0.0, (boxes[:, 1] - half).min())
    right, bottom = min(float(width), (boxes[:, 0] + half).max()), min(float(height), (boxes[:, 1] + half).max())
    edges = (
        left * rng.random(),
        top * rng.random(),
        width - (width - right) * rng.random(),
        height - (height - bottom) * rng.random(),
    )
    beam = Image.new("L", (width, height))
    draw = ImageDraw.Draw(beam)
    if kind == "plain":
        draw.rectangle(edges, fill=255)
    elif rng.random() < 0.5:  # corners cut off
        cut = 0.3 * min(left - edges[0], top - edges[1], edges[2] - right, edges[3] - bottom)
        draw.polygon(_octagon(edges, max(cut, 0)), fill=255)
    else:  # a round tube's field
        x, y = (left + right) / 2, (top + bottom) / 2
        radius = math.hypot(right - left, bottom - top) / 2 * rng.uniform(1.0, 1.6)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    exposed = np.asarray(beam, np.float32) / 255
    return film * exposed + outside * (1 - exposed)


def _plate(
    draw: ImageDraw.ImageDraw, x: float, start: float, end: float, side: float, rng: np.random.Generator
) -> None:
    """Draw a plate with screws, or a straight rod."""
    wide, top, bottom = side * rng.uniform(0.02, 0.06), min(start, end), max(start, end)
    if rng.random() < 0.5:
        draw.rectangle((x - wide / 2, top, x + wide / 2, bottom), fill=240)
        return
    x += side * rng.uniform(-0.2, 0.2)
    draw.rounded_rectangle((x - wide, top, x + wide, bottom), wide, fill=225)
    for y in np.arange(top, bottom, side * 0.16):
        draw.line(
            (x, y, x - side * rng.uniform(0.15, 0.35), y + side * rng.normal(0, 0.02)),
            fill=230,
            width=max(1, round(wide / 2)),
        )


def _nail(draw: ImageDraw.ImageDraw, x: float, start: float, end: float, side: float, rng: np.random.Generator) -> None:
    """Draw a nail with a locking bolt, wires, or a ring around the leg."""
    wide = max(1, round(side * rng.uniform(0.03, 0.08)))
    choice = rng.random()
    if choice < 0.4:
        draw.line((x, start, x + side * rng.normal(0, 0.06), end), fill=235, width=wide)
        draw.line(
            (x - side * 0.2, start, x + side * 0.2, start + side * rng.normal(0, 0.03)),
            fill=245,
            width=max(1, wide // 2),
        )
    elif choice < 0.7:
        for _ in range(3):
            draw.line(
                (x - side * rng.uniform(0.2, 0.6), start, x + side * rng.uniform(0.2, 0.6), end),
                fill=235,
                width=max(1, round(side * 0.012)),
            )
    else:
        middle, tall = (start + end) / 2, side * rng.uniform(0.08, 0.15)
        draw.ellipse(
            (x - side * 0.8, middle - tall, x + side * 0.8, middle + tall), outline=240, width=max(1, wide // 2)
        )


def _over(film: np.ndarray, layer: Image.Image, boxes: Boxes, level: float) -> np.ndarray:
    """Return the film with the layer's shapes at a level of gray over it, but not over a joint."""
    shapes = np.asarray(layer, np.float32) / 255
    if not shapes.any():
        return film
    for x, y, side in boxes:
        half = side * 0.47
        shapes[max(0, round(y - half)) : max(0, round(y + half)), max(0, round(x - half)) : max(0, round(x + half))] = 0
    return film * (1 - np.clip(shapes * 1.2, 0, 1)) + shapes * level


def _octagon(edges: tuple[float, float, float, float], cut: float) -> list[tuple[float, float]]:
    left, top, right, bottom = edges
    return [
        *((left + cut, top), (right - cut, top), (right, top + cut), (right, bottom - cut)),
        *((right - cut, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut)),
    ]
