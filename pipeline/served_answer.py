"""A process of its own that serves a model, asks it about one test image, and prints JSON."""

import dataclasses
import json
import pathlib
import sys

import pyarrow.parquet as pq

from schemas import features
from schemas.errors import DataError, ServingError, SightlineError
from serving import client, model_config, server


def ask(request: dict) -> dict:
  """Serves `directory` on a free port and asks it about the smallest test image.

  Args:
    request: `directory` with one folder a version, `name` of the model, `version`
      that has to answer, `manifest` (manifest.parquet of the run) and `data_root`,
      to which its paths are relative.

  Returns:
    The prediction, with `file` and the `expected` label.

  Raises:
    DataError: there is no test image.
    ServingError: the server refused, or another version answered.
  """
  row = _smallest_test_image(request['manifest'])
  path = pathlib.Path(request['data_root'], row['path'])
  config = model_config.single(request['name'], request['directory'])
  with server.EmbeddedServer(config, server.FREE_PORTS) as running:
    (answer,) = client.predict([path], running.url, request['name'])
  if answer.model_version != request['version']:
    raise ServingError(
      f'{request["directory"]}: expected version {request["version"]} to answer. '
      f'Received an answer of version {answer.model_version}.'
    )
  return {
    **dataclasses.asdict(answer),
    'path': None,
    'file': str(path),
    'expected': row['label'],
  }


def _smallest_test_image(manifest: str) -> dict:
  rows = pq.read_table(
    manifest,
    columns=['path', 'label', 'bytes'],
    filters=[('split', '=', features.TEST)],
  ).to_pylist()
  if not rows:
    raise DataError(f'{manifest}: expected a row of the split {features.TEST}. Received: none.')
  return min(rows, key=lambda row: (row['bytes'], row['path']))


if __name__ == '__main__':
  try:
    answered = ask(json.loads(sys.argv[1]))
  except SightlineError as error:
    answered = {'error': str(error)}
  sys.stdout.write(json.dumps(answered) + '\n')
