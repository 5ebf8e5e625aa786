"""Where a network looks: Grad-CAM, drawn over the picture as the network sees it.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization" (ICCV 2017), against the logit of the predicted class.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

# A map of fewer cells a side shows no place.
LEAST_CELLS = 4
_SHORTEST_SIDE = 160
_STRENGTH = 0.6


@dataclasses.dataclass(frozen=True)
class Parts:
  """A classifier, cut at the map that is drawn.

  Attributes:
    maps: from pixels float32 [N, H, W, 3] to feature maps [N, h, w, C] and logits [N, K].
    layer: name of the layer that gives the maps.
  """

  maps: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
  layer: str


def cut(classifier: keras.Model) -> Parts | None:
  """Finds the last feature map that shows a place.

  That is the backbone's output, where it has at least 4 x 4 cells. A network on small
  images ends in fewer: then it is the last layer inside that has as many, and that all of
  the picture passes through.

  Args:
    classifier: as models.classifier builds it.

  Returns:
    None where there is no such map.
  """
  backbone = classifier.get_layer('backbone')
  after = classifier.layers[classifier.layers.index(backbone) + 1 :]

  def head(features: tf.Tensor) -> tf.Tensor:
    for layer in after:
      features = layer(features, training=False) if _is_dropout(layer) else layer(features)
    return features

  if _is_place(backbone.output_shape):
    return Parts(_of_output(backbone, head), backbone.name)
  before, body = _body(backbone)
  layer = _last_passage(body)
  if layer is None:
    return None
  both = keras.Model(body.inputs[0], [layer.output, body.outputs[0]])

  def maps(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    found, features = both(before(pixels), training=False)
    return found, head(features)

  return Parts(maps, layer.name)


def heat(parts: Parts, pixels: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
  """Returns how much each cell of the map speaks for the class.

  Args:
    parts: of the classifier.
    pixels: float32 [N, H, W, 3], 0..255.
    class_ids: int [N].

  Returns:
    float32 [N, h, w], 0..1: the largest of an image is 1, and all are 0 where none
    speaks for the class.
  """
  inputs = tf.convert_to_tensor(pixels, tf.float32)
  with tf.GradientTape() as tape:
    # Also a network without a trainable variable is recorded.
    tape.watch(inputs)
    maps, logits = parts.maps(inputs)
    chosen = tf.gather(logits, tf.convert_to_tensor(class_ids, tf.int64), batch_dims=1)
  slopes = tape.gradient(chosen, maps)
  weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
  found = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1))
  return tf.math.divide_no_nan(found, tf.reduce_max(found, axis=(1, 2), keepdims=True)).numpy()


def overlay(pixels: np.ndarray, cells: np.ndarray) -> Image.Image:
  """Draws heat over a picture: red where it is weak, yellow where it is strong.

  Args:
    pixels: float [H, W, 3], 0..255, as the network sees the picture.
    cells: float [h, w], 0..1.

  Returns:
    A picture whose shorter side is at least 160 pixels.
  """
  picture = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
  factor = max(1, -(-_SHORTEST_SIDE // min(picture.size)))
  size = (picture.width * factor, picture.height * factor)
  base = np.asarray(picture.resize(size, Image.Resampling.NEAREST), np.float32)
  warm = Image.fromarray(cells.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
  strength = np.clip(np.asarray(warm), 0, 1)[..., None]
  colour = np.concatenate(
    [np.full_like(strength, 255), 255 * strength, np.zeros_like(strength)], -1
  )
  share = _STRENGTH * strength
  return Image.fromarray(np.rint((1 - share) * base + share * colour).astype(np.uint8))


def _of_output(backbone: keras.Model, head: Callable) -> Callable:
  def maps(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    found = backbone(pixels, training=False)
    return found, head(found)

  return maps


def _is_dropout(layer: keras.layers.Layer) -> bool:
  return isinstance(layer, keras.layers.Dropout)


def _is_place(shape) -> bool:
  return (
    isinstance(shape, tuple)
    and len(shape) == 4
    and all(isinstance(side, int) and side >= LEAST_CELLS for side in shape[1:3])
  )


def _body(backbone: keras.Model) -> tuple[Callable, keras.Model]:
  """Returns what normalises the pixels, and the network behind it where that is a model itself."""
  last = backbone.layers[-1]
  if not isinstance(last, keras.Model):
    return lambda pixels: pixels, backbone
  (tensor,) = last._inbound_nodes[-1].input_tensors
  before = keras.Model(backbone.inputs[0], tensor)
  return lambda pixels: before(pixels, training=False), last


def _last_passage(body: keras.Model) -> keras.layers.Layer | None:
  """Returns the last layer with a map that no path from the pixels to the output goes around."""
  layers = [layer for layer in body.layers if not isinstance(layer, keras.layers.InputLayer)]
  place = {id(layer): number for number, layer in enumerate(layers)}
  reach, passages = -1, []
  learnt = False
  for number, layer in enumerate(layers):
    learnt |= bool(layer.weights) and not isinstance(layer, keras.layers.Normalization)
    padded = isinstance(layer, keras.layers.ZeroPadding2D)
    if reach <= number and learnt and not padded and _is_place(_shape(layer)):
      passages.append(layer)
    readers = [place.get(id(node.operation), -1) for node in layer._outbound_nodes]
    reach = max(reach, *readers, number)
  return passages[-1] if passages else None


def _shape(layer: keras.layers.Layer):
  # Of a layer that is called twice there are several, and no place in a line of layers.
  return tuple(layer.output.shape) if len(layer._inbound_nodes) == 1 else None
