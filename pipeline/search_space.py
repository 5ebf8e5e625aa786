"""The space of a search over settings, looked at before anything is run."""

from schemas import loader
from schemas.config import Config
from schemas.errors import ConfigError

# The rest of the config decides which data there are and what a model must reach.
SECTIONS = ('augment', 'model', 'train')
# What the values of a search must be; KerasTuner has no other.
_PLAIN = (bool, int, float, str)


def check(config: Config) -> None:
  """Looks at tuner.space.

  Raises:
    ConfigError: a key is not a field of SECTIONS, or a value of it cannot be used.
  """
  for key, values in config.tuner.space.items():
    why = _without_effect(config, key)
    if why:
      raise ConfigError(
        f'tuner.space: expected fields that change a trial. Received: {key}; {why}. Next: take it '
        'out of tuner.space.'
      )
    if key.partition('.')[0] not in SECTIONS or not values:
      raise ConfigError(
        f'tuner.space: expected fields of {", ".join(SECTIONS)}, with at least one value each. '
        f'Received: {key}: {values}.'
      )
    for value in values:
      if not isinstance(value, _PLAIN):
        raise ConfigError(
          f'tuner.space: {key}: expected numbers, words, true or false. Received: {value!r}.'
        )
      loader.with_values(config, {key: value}, 'tuner.space')


def _without_effect(config: Config, key: str) -> str | None:
  """Returns why every trial would be the same, whatever the value of a field is."""
  if key == 'model.weights':
    return 'the weights are looked for once, before the search'
  if config.train.stages is not None and key in (
    'train.epochs',
    'train.frozen_epochs',
    'train.learning_rate',
  ):
    return 'train.stages is written out and replaces it'
  if config.train.find_rate == 'use' and key == 'train.learning_rate':
    return 'train.find_rate is use and replaces it'
  return None
