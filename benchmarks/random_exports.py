"""Exports of networks with random weights: as large and as slow as trained ones."""

import io
import pathlib

import numpy as np
import training_records
from PIL import Image

LABELS = [f'class {number}' for number in range(10)]


def write(folder: pathlib.Path, path: pathlib.Path, backbone: str, size: int, seed: int = 0):
  """Writes an export.

  Args:
    folder: for what Transform analyses; shared by exports of one size.
    path: of the export.
    backbone: a row of models/backbones.py.
    size: pixels of the square input.
    seed: of the weights.

  Returns:
    The network: float32 [N, size, size, 3], 0..255, to logits float32 [N, 10].
  """
  import keras

  from models import classifier, export, known_images
  from schemas.config import Config

  keras.utils.set_random_seed(seed)
  config = Config.model_validate(
    {
      'name': 'random',
      'image': {'height': size, 'width': size},
      'model': {'backbone': backbone},
    }
  )
  half: np.ndarray = np.full(3, 0.5, np.float32)
  model = classifier.build(config.model, config.image, len(LABELS), half, half)
  ten = [(_pixels(), label) for label in LABELS]
  transform = training_records.transform(ten, folder / 'analysed', config.image)
  path.parent.mkdir(parents=True, exist_ok=True)
  width = model.get_layer('features').output.shape[-1]
  # As large as a fitted one; its numbers cost nothing.
  known = known_images.KnownImages(
    np.zeros((len(LABELS), width)), np.eye(width, 64), np.ones(64), np.array(1.0)
  )
  layer = transform.transform_features_layer()
  export.export(model, transform, layer, config, LABELS, known, path, run_id='random')
  return model


def photo(seed: int, width: int, height: int, quality: int = 90) -> bytes:
  """Returns a JPEG that compresses as a photo does."""
  draw = np.random.default_rng(seed)
  small = draw.integers(0, 256, (6, 8, 3), np.uint8)
  picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
  noisy = np.asarray(picture, np.float32) + draw.normal(0, 6, (height, width, 3))
  stream = io.BytesIO()
  Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, 'JPEG', quality=quality)
  return stream.getvalue()


def _pixels() -> bytes:
  stream = io.BytesIO()
  Image.new('RGB', (32, 32), (120, 90, 60)).save(stream, 'PNG')
  return stream.getvalue()
