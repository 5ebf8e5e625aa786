"""Whether the model card says enough for a model to leave its run folder: checked before a run.

A model that others can serve is described first. In its own run folder nobody meets it,
so there a card with open fields is a draft and no hindrance.
"""

from schemas.config import Config
from schemas.errors import ConfigError


def open_fields(config: Config) -> list[str]:
  """Returns the fields of the model card that only a person can fill in, and nobody did."""
  return [
    *(f'problem.{name}' for name in config.problem.missing()),
    *(f'data.card.{name}' for name in config.data.card.missing()),
  ]


def check(config: Config) -> None:
  """Checks the model card.

  Raises:
    ConfigError: a field is empty, and either it is required, or the model is to be
      published outside the run folder.
  """
  missing = config.problem.missing()
  if missing and config.problem.required:
    raise ConfigError(
      'problem: expected every field, as problem.required is true. Received: nothing for '
      f'{", ".join(missing)}. Write them into the config.'
    )
  root, directory = config.run.root, config.publish.directory
  assert root is not None and directory is not None  # the loader fills them in
  unsaid = open_fields(config)
  if unsaid and config.publish.bucket:
    raise ConfigError(
      'publish.bucket: expected none, as the model card is a draft. Received: '
      f'{config.publish.bucket}. Leave it out, or fill in what others have to know before they '
      f'use the model: {", ".join(unsaid)}.'
    )
  if unsaid and not directory.is_relative_to(root):
    raise ConfigError(
      f'publish.directory: expected a folder below {root}, as the model card is a draft. '
      f'Received: {directory}. Leave it out, or fill in what others have to know before they '
      f'use the model: {", ".join(unsaid)}.'
    )
