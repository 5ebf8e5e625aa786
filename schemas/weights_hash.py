"""The hash that says whether two exports hold the same weights."""

import hashlib
import json
import pathlib

from schemas import signatures
from schemas.errors import ExportError


def weights_sha256(export: pathlib.Path) -> str:
  """Hashes the variables of a SavedModel.

  Args:
    export: the folder that holds saved_model.pb and variables/.

  Returns:
    Hex sha256 over the sorted relative names and the bytes of variables/*.

  Raises:
    ExportError: if the folder holds no variables.
  """
  folder = pathlib.Path(export, 'variables')
  files = sorted(path for path in folder.rglob('*') if path.is_file())
  if not files:
    raise ExportError(
      f'{export}: expected a SavedModel with variables/. Received: a folder without them. '
      'Name the folder that holds saved_model.pb.'
    )
  digest = hashlib.sha256()
  for path in files:
    digest.update(path.relative_to(folder).as_posix().encode() + b'\0')
    with open(path, 'rb') as stream:
      for block in iter(lambda: stream.read(1 << 20), b''):
        digest.update(block)
  return digest.hexdigest()


def read_identity(export: pathlib.Path) -> dict:
  """Returns assets.extra/sightline.json of an export.

  Raises:
    ExportError: if the file is missing or is not JSON.
  """
  path = pathlib.Path(export, signatures.EXTRA_FOLDER, signatures.IDENTITY_FILE)
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    raise ExportError(
      f'{path}: expected the identity that a Sightline export carries. Received: {error}. '
      'Export the model again, or name the folder of a version that Sightline published.'
    ) from error
