"""Makes the heatmap, which shows where in a knee's box the evidence for its reported grade lies."""

import numpy as np
from PIL import Image

from ..bundle import InputConfig
from .letterbox import Box, Region, visible_region

LONGER_SIDE = 32
"""A heatmap has 32 pixels along the longer side of the knee's box. The network's activation map is coarser still."""

MOST = 0.5
"""Half of a knee's box at most may have half of the strongest evidence or more. A map that tints more says nothing
about the place. Few maps of real knees do."""


def heatmap_over(activation_map: np.ndarray, box: Box, region: Region, content: Box, config: InputConfig) -> np.ndarray:
    """Turn a network's activation map into a heatmap over a knee's box.

    Args:
        activation_map: [h,w] over the letterbox of the region.
        box: The knee, in pixels of the film.
        region: The part of the film that was graded for the knee, in pixels. `box` lies within it, to a pixel.
        content: The part of the letterbox that is not padding.
        config: The shape of the letterbox, and the part of the region that the network sees.

    Returns:
        float32 [h,w] over the box, 0 to 1. It is 0 outside of what the network sees, and 0 everywhere if the map is
        flat or more than MOST of it is strong.
    """
    across, down = activation_map.shape[1] / config.width, activation_map.shape[0] / config.height
    if config.crop == "frame":  # the map covers the whole square, and what lies beyond the film too
        content = (0, 0, config.width, config.height)
    part = content[0] * across, content[1] * down, content[2] * across, content[3] * down
    shrink = LONGER_SIDE / max(box[2] - box[0], box[3] - box[1])
    seen = visible_region(region, config)
    left, top = round((seen[0] - box[0]) * shrink), round((seen[1] - box[1]) * shrink)
    width, height = max(1, round((seen[2] - seen[0]) * shrink)), max(1, round((seen[3] - seen[1]) * shrink))
    visible = np.asarray(
        Image.fromarray(activation_map.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR, box=part)
    )
    low, high = float(visible.min()), float(visible.max())
    heatmap = np.zeros([max(1, round((box[end] - box[end - 2]) * shrink)) for end in (3, 2)], np.float32)
    if high > low:
        rows, columns = (slice(max(0, first), first + length) for first, length in ((top, height), (left, width)))
        shown = heatmap[rows, columns]
        inner = visible[max(0, -top) :, max(0, -left) :][: shown.shape[0], : shown.shape[1]]
        shown[: inner.shape[0], : inner.shape[1]] = (inner - low) / (high - low)
    return heatmap if float((heatmap >= 0.5).mean()) <= MOST else np.zeros_like(heatmap)
