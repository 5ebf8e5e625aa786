"""A process of its own that serves a model, asks it about one test image, and prints JSON."""

import dataclasses
import json
import pathlib
import sys

import pyarrow.parquet as pq

from schemas import features
from schemas.errors import ServingError
from serving import client, server


def ask(request: dict) -> dict:
  """Serves `directory` on a free port and asks it about the first test image.

  Args:
    request: `directory` with one folder a version, `name` of the model, `version`
      that has to answer, `manifest` (manifest.parquet of the run) and `data_root`,
      to which its paths are relative.

  Returns:
    The prediction, with `file` and the `expected` label.

  Raises:
    ServingError: another version answered.
  """
  rows = (
    pq.read_table(
      request['manifest'],
      columns=['path', 'label', 'split'],
      filters=[('split', '=', features.TEST)],
    )
    .slice(0, 1)
    .to_pylist()
  )
  path = pathlib.Path(request['data_root'], rows[0]['path'])
  with server.EmbeddedServer(request['directory'], request['name'], port=0) as running:
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
    'expected': rows[0]['label'],
  }


if __name__ == '__main__':
  sys.stdout.write(json.dumps(ask(json.loads(sys.argv[1]))) + '\n')
