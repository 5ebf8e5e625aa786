"""Images a second of a training step on an accelerator, by precision and stage.

    KERAS_BACKEND=jax python benchmarks/accelerator_step.py [--size 224] [--batch 256]

Keras's EfficientNet-B0 with a head of ten classes, on whichever backend Keras has: it needs
nothing of Sightline, so that it also runs where TensorFlow has no build for the machine. The
images are random and lie in the accelerator's memory; nothing is decoded. Frozen: only the
head is trained; whole: all of it. Each row is the median of timed steps after a warm-up, and
says whether the loss stayed finite.
"""

import argparse
import json
import statistics
import time

import keras
import numpy as np

PRECISIONS = ('float32', 'mixed_bfloat16', 'mixed_float16')
STAGES = ('frozen', 'whole')
CLASSES = 10


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--size', type=int, default=224)
  parser.add_argument('--batch', type=int, default=256)
  parser.add_argument('--steps', type=int, default=20)
  parser.add_argument('--precisions', nargs='+', choices=PRECISIONS, default=PRECISIONS)
  args = parser.parse_args()
  print(f'{device()}; Keras {keras.__version__} on {keras.backend.backend()}', flush=True)
  for precision in args.precisions:
    for stage in STAGES:
      row = measure(precision, stage, args.size, args.batch, args.steps)
      print(json.dumps(row), flush=True)


def device() -> str:
  """Returns the accelerator's name, as its backend has it."""
  if keras.backend.backend() == 'jax':
    import jax

    return f'{jax.devices()[0].device_kind}, jax {jax.__version__}'
  if keras.backend.backend() == 'torch':
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
    return f'{name}, torch {torch.__version__}'
  import tensorflow as tf

  found = tf.config.list_physical_devices('GPU')
  return f'{found[0].name if found else "CPU"}, tensorflow {tf.__version__}'


def measure(precision: str, stage: str, size: int, batch: int, steps: int) -> dict:
  """Returns a row of the table."""
  keras.utils.clear_session()
  keras.config.set_dtype_policy(precision)
  keras.utils.set_random_seed(0)
  backbone = keras.applications.EfficientNetB0(
    include_top=False, weights=None, input_shape=(size, size, 3), pooling='avg'
  )
  backbone.trainable = stage == 'whole'
  inputs = keras.Input((size, size, 3))
  logits = keras.layers.Dense(CLASSES, dtype='float32')(
    keras.layers.Dropout(0.2)(backbone(inputs, training=stage == 'whole'))
  )
  model = keras.Model(inputs, logits)
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(keras.optimizers.AdamW(1e-3), loss)
  draw = np.random.default_rng(0)
  images = keras.ops.convert_to_tensor(
    draw.integers(0, 256, (batch, size, size, 3)).astype(np.float32)
  )
  labels = keras.ops.convert_to_tensor(draw.integers(0, CLASSES, batch))
  begin = time.perf_counter()
  last = float(model.train_on_batch(images, labels))
  compiled = time.perf_counter() - begin
  took = []
  for number in range(steps + 3):
    begin = time.perf_counter()
    last = float(model.train_on_batch(images, labels))
    if number >= 3:
      took.append(time.perf_counter() - begin)
  step = statistics.median(took)
  return {
    'precision': precision,
    'stage': stage,
    'size': size,
    'batch': batch,
    'step_ms': round(step * 1e3, 1),
    'images_a_second': round(batch / step),
    'first_step_s': round(compiled, 1),
    'loss_finite': bool(np.isfinite(last)),
  }


if __name__ == '__main__':
  main()
