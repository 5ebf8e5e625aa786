"""A version with its weights as constants beside the same version with variables.

    .venv/bin/python benchmarks/frozen_weights.py [--models digits b0-64 b0-224] [--rounds 6]

In process, without a server: seconds of processor until a version is loaded and has answered
once, milliseconds of one image, images a second of sixteen in a call, and the largest
difference of a probability. The three take turns in one process: serving.servable.Servable
as it is, the same with TensorFlow's optimiser of graphs, serving.frozen_servable. Medians.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import tempfile
import time
from unittest import mock

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import photo_folds
import random_exports
from serving_speed import MODELS

PLAIN, OPTIMISED, FROZEN = 'variables', 'variables, optimised', 'constants'
SECONDS = 0.5


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--models', nargs='+', choices=list(MODELS), default=list(MODELS))
  parser.add_argument('--rounds', type=int, default=6)
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow')
  for name in args.models:
    with tempfile.TemporaryDirectory(prefix='frozen-') as folder:
      compare(pathlib.Path(folder), name, args.rounds)


def compare(folder: pathlib.Path, name: str, rounds: int) -> None:
  """Prints the table of one model."""
  from schemas import signatures

  backbone, size, pixels = MODELS[name]
  with photo_folds.quiet():
    random_exports.write(folder, folder / '1', backbone, size)
  photos = [random_exports.photo(number, pixels, pixels + number) for number in range(16)]
  many = np.array(photos, object)

  def ask(servable, images) -> np.ndarray:
    outputs = servable.run(signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: images})
    return outputs[signatures.PROBABILITIES]

  arms, loads, answers = {}, {}, {}
  for arm in (PLAIN, OPTIMISED, FROZEN):
    begin = time.process_time()
    arms[arm] = load(folder / '1', arm)
    answers[arm] = ask(arms[arm], many)
    loads[arm] = time.process_time() - begin
  seen: dict[tuple[str, int], list[float]] = {}
  for _ in range(rounds):
    for arm, servable in arms.items():
      for count in (1, 16):
        seen.setdefault((arm, count), []).append(seconds_a_call(ask, servable, many[:count]))
  print(f'{name:10}{"load, CPU s":>28}{"one image, ms":>16}{"16: images/s":>14}{"difference":>12}')
  for arm in arms:
    one, sixteen = (statistics.median(seen[arm, count]) for count in (1, 16))
    difference = float(np.abs(answers[arm] - answers[PLAIN]).max())
    print(f'  {arm:22}{loads[arm]:14.1f}{one * 1e3:16.2f}{16 / sixteen:14.0f}{difference:12.1g}')


def load(export: pathlib.Path, arm: str):
  """Returns a servable."""
  from tensorflow.core.protobuf import config_pb2

  from serving import frozen_servable, servable

  made = frozen_servable.FrozenServable if arm == FROZEN else servable.Servable
  optimised = (
    mock.patch.object(servable, 'unoptimised', config_pb2.ConfigProto)
    if arm == OPTIMISED
    else contextlib.nullcontext()
  )
  with photo_folds.quiet(), optimised:
    return made(export)


def seconds_a_call(ask, servable, images: np.ndarray) -> float:
  """Returns the median of the calls of half a second."""
  for _ in range(3):
    ask(servable, images)
  took = []
  until = time.perf_counter() + SECONDS
  while time.perf_counter() < until:
    begin = time.perf_counter()
    ask(servable, images)
    took.append(time.perf_counter() - begin)
  return statistics.median(took)


if __name__ == '__main__':
  main()
