"""The operations and layers of Keras, for modules that compute with what they return.

Keras declares that they may return nothing, or a list, so that no arithmetic with their results passes a type checker.
Here they have no declared types: a checker takes their results as they are used.
"""

from typing import Any

import keras

ops: Any = keras.ops
layers: Any = keras.layers
