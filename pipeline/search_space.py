"""The space of a search over settings, looked at before anything is run."""

from schemas import loader
from schemas.config import Config
from schemas.errors import ConfigError

# The rest of the config decides which data there are and what a model must reach.
SECTIONS = ('augment', 'model', 'train')


def check(config: Config) -> None:
  """Looks at tuner.space.

  Raises:
    ConfigError: a key is not a field of SECTIONS, or a value of it cannot be used.
  """
  for key, values in config.tuner.space.items():
    if key.partition('.')[0] not in SECTIONS or not values:
      raise ConfigError(
        f'tuner.space: expected fields of {", ".join(SECTIONS)}, with at least one value each. '
        f'Received: {key}: {values}.'
      )
    for value in values:
      loader.with_values(config, {key: value}, 'tuner.space')
