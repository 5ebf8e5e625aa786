"""A tiny Beam job that asks a worker what it has: run as a program of its own.

  python -m pipeline.worker_probe JSON

JSON has `arguments` (for Beam), `expected` (as `here` says it), and `folder`, in
which the worker leaves a file. Whoever starts it can end it: a job whose worker
cannot start waits for ever. As a program of its own, Beam sends the function's code
and not its name, so that a worker without our packages can still say so.
"""

import json
import sys

ANSWER = 'worker.json'
# Whose versions decide what a step computes.
PACKAGES = (
  'apache-beam',
  'tfx',
  'tensorflow',
  'tensorflow-transform',
  'tensorflow-data-validation',
)
OURS = ('schemas', 'models', 'serving', 'components')


def here(packages=PACKAGES, ours=OURS) -> dict[str, str]:
  """Returns what this process has: name to version, or to a hash of our code."""
  # Inside, because the function travels alone.
  import importlib
  import importlib.metadata
  import platform

  found = {'python': platform.python_version()}
  for name in packages:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      found[name] = 'missing'
  try:
    found['sightline'] = importlib.import_module('pipeline.code_fingerprint').fingerprint(*ours)
  except ImportError as error:
    found['sightline'] = f'missing: {error}'
  return found


def main(given: dict) -> None:
  import apache_beam as beam

  folder, answer = given['folder'], ANSWER

  def examine(_: int, look=here, packages=PACKAGES, ours=OURS) -> None:
    import json
    import os

    found = look(packages, ours)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, answer), 'w', encoding='utf-8') as stream:
      json.dump(found, stream)

  with beam.Pipeline(argv=given['arguments']) as running:
    _ = running | beam.Create([0], reshuffle=False) | beam.Map(examine)


if __name__ == '__main__':
  main(json.loads(sys.argv[1]))
