"""The decoder's conditions and loops as functions, and taken apart: what an image costs.

    .venv/bin/python benchmarks/decoder_graph.py [--images 1600] [--rounds 5]

TensorFlow takes the conditions and loops of a graph apart unless it is told not to, as
models/decoder.py does. Both decode the same JPEGs, in turns: through tf.data by two threads,
which is how training reads, and one image a call, which is how a lone client is answered. `begin`
is the time to the first batch, most of which is TensorFlow's preparation of the graph. The sides
are of the JPEG and of the model's input; an image of the input's size is not resized. Medians of
the rounds.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import photo_folds
import random_exports
import tensorflow as tf

from models import decoder
from schemas.config import ImageConfig

APART, FUNCTIONS = 'taken apart', 'functions'
SIDES = ((32, 32), (40, 32), (96, 64), (224, 224), (348, 224))
BATCH = 32


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--images', type=int, default=1600, help='of each measurement')
  parser.add_argument('--rounds', type=int, default=5)
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow')
  print(f'  {"JPEG to input":18}{"":14}{"tf.data":>14}{"begin":>12}{"one a call":>14}')
  for side, size in SIDES:
    images = [random_exports.photo(number, side, side) for number in range(64)]
    found = measure(images, ImageConfig(height=size, width=size), args)
    for arm, (an_image, begin, a_call) in found.items():
      ratio = an_image / found[APART][0]
      print(
        f'  {f"{side} to {size} pixels":18}{arm:14}{an_image:8.0f} us {ratio:.2f}'
        f'{begin:9.0f} ms{a_call:11.0f} us'
      )


def measure(
  images: list[bytes], image: ImageConfig, args: argparse.Namespace
) -> dict[str, tuple[float, float, float]]:
  """Returns for each arm microseconds an image, milliseconds to begin, microseconds a call."""
  functions = {APART: traced(image, apart=True), FUNCTIONS: traced(image, apart=False)}
  answers = [function(images[0]).numpy() for function in functions.values()]
  np.testing.assert_array_equal(*answers)
  seen: dict[str, list[tuple[float, float, float]]] = {arm: [] for arm in functions}
  for number in range(args.rounds + 1):
    for arm, function in functions.items():
      row = (*through_data(images, function, args.images), one_by_one(images, function))
      if number:  # The first one warms up.
        seen[arm].append(row)
  return {
    arm: tuple(statistics.median(values) for values in zip(*rows, strict=True))
    for arm, rows in seen.items()
  }


def traced(image: ImageConfig, apart: bool) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns the decoder as a function of one image."""
  own = decoder._in_functions
  decoder._in_functions = contextlib.nullcontext if apart else own
  try:
    function = tf.function(
      lambda data: decoder.decode_and_resize(data, image),
      input_signature=[tf.TensorSpec([], tf.string)],
      autograph=False,
    )
    function.get_concrete_function()
  finally:
    decoder._in_functions = own
  return function


def through_data(images: list[bytes], function: Callable, count: int) -> tuple[float, float]:
  """Returns microseconds an image once it runs, and milliseconds to the first batch."""
  data = tf.data.Dataset.from_tensor_slices(images).repeat()
  data = data.map(function, num_parallel_calls=2).batch(BATCH)
  began = time.perf_counter()
  batches = iter(data)
  next(batches)
  ready = time.perf_counter()
  for _ in range(count // BATCH):
    next(batches)
  took = time.perf_counter() - ready
  return took / (count // BATCH * BATCH) * 1e6, (ready - began) * 1e3


def one_by_one(images: list[bytes], function: Callable) -> float:
  """Returns microseconds a call, with one image each."""
  tensors = [tf.constant(data) for data in images]
  times = []
  for data in tensors * 3:
    began = time.perf_counter()
    function(data).numpy()
    times.append(time.perf_counter() - began)
  return statistics.median(times[len(tensors) :]) * 1e6


if __name__ == '__main__':
  main()
