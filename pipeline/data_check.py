"""What the config says of the data and no record holds: checked before anything runs.

None of it is a parameter of ImageExampleGen, because a change in it changes no
record and must not train anew.
"""

from components.image_example_gen import manifest, spans
from schemas.config import DataConfig
from schemas.errors import ConfigError


def check(data: DataConfig) -> None:
  """Checks the dataset card, and the columns where the data lie on this machine.

  Raises:
    ConfigError: a field of the card is missing, and the card is required.
    DataError: the manifest lacks a column that the config names, or cannot be opened.
  """
  missing = data.card.missing()
  if missing and data.card.required:
    raise ConfigError(
      'data.card: expected source, owner, licence, access and freshness, as data.card.required '
      f'is true. Received: nothing for {", ".join(missing)}. Write them into the config.'
    )
  if data.root is not None and data.root.is_dir() and _names_columns(data):
    manifest.open_manifest(spans.at(data))


def _names_columns(data: DataConfig) -> bool:
  return bool(data.slice_columns or data.group_columns or data.split.time_column)
