"""The file beside a model in another format: who it is, what goes in, what comes out."""

import dataclasses
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from models.formats.export_graph import PIXELS, Network
from models.formats.parity import Parity
from schemas import signatures
from schemas.errors import ExportError

FILE = signatures.IDENTITY_FILE
FLOAT32, INT8 = 'float32', 'int8'
_OUTPUTS = {
  signatures.PROBABILITIES: 'float32 [N, K], calibrated; K labels, in the order of `labels`',
  signatures.CLASS_ID: 'int64 [N], position in `labels`',
  signatures.PROBABILITY: 'float32 [N], of that class',
  signatures.LOW_CONFIDENCE: 'bool [N], a person should look',
  signatures.OOD_SCORE: 'float32 [N], about 1 for a known image; higher is more foreign',
  signatures.FOREIGN: 'bool [N], ood_score is above the limit of this export',
}
_DECODING = (
  'JPEG, PNG, GIF or BMP to RGB, alpha dropped, grey repeated; turned upright by its EXIF '
  'orientation; brought to height and width by `image`, bilinear with antialiasing; values as '
  'they are, 0..255, neither divided nor standardised: the network does that'
)


@dataclasses.dataclass(frozen=True)
class Description:
  """What is known of one file.

  Attributes:
    format: its name.
    file: its name in the folder.
    precision: FLOAT32 or INT8.
    version: of the export; '' where it was not published.
    parity: with the export.
    packages: versions of what wrote and ran it.
    measured: further figures, such as the paired loss of INT8.
  """

  format: str
  file: str
  precision: str
  version: str
  parity: Parity
  packages: Mapping[str, str]
  measured: Mapping[str, Any]


def write(
  folder: pathlib.Path, one: Description, network: Network, identity: Mapping[str, Any]
) -> None:
  """Writes sightline.json.

  Args:
    folder: of the model.
    one: the facts.
    network: whose file it is.
    identity: of the export, as schemas.weights_hash.read_identity has it.
  """
  content = {
    'format': one.format,
    'file': one.file,
    'precision': one.precision,
    'run_id': identity.get('run_id', ''),
    'version': one.version,
    'weights_sha256': identity['weights_sha256'],
    'labels': identity['labels'],
    'input': {
      'name': PIXELS,
      'dtype': 'float32',
      'shape': ['N', network.height, network.width, 3],
      'meaning': 'RGB, 0..255, channels last',
      'decoding': _DECODING,
      'image': (identity.get('config') or {}).get('image'),
    },
    'outputs': {name: _OUTPUTS.get(name, '') for name in network.outputs},
    'decision': identity.get('decision'),
    'parity': dataclasses.asdict(one.parity),
    'packages': dict(one.packages),
    **one.measured,
  }
  (folder / FILE).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def read(folder: pathlib.Path) -> dict[str, Any]:
  """Returns what `write` wrote.

  Raises:
    ExportError: the file is missing or is not JSON.
  """
  try:
    return json.loads((folder / FILE).read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    raise ExportError(
      f'{folder / FILE}: expected the description of an exported format. Received: {error}. '
      'Export it again: sightline model export'
    ) from error


def versions(packages: tuple[str, ...]) -> dict[str, str]:
  """Returns the installed version of each distribution."""
  return {name: importlib.metadata.version(name) for name in packages}
