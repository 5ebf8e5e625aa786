"""The errors that Sightline raises for a cause that its user can mend.

Each text says where, what was expected, what was received and what to do next.
The command line prints the text alone; anything else is a defect and keeps its
traceback.
"""


class SightlineError(Exception):
  """Base of every error below."""


class ConfigError(SightlineError):
  """A config file, an override or a command line argument cannot be used."""


class DataError(SightlineError):
  """The data set, its manifest or its split lock cannot be used."""


class WeightsError(SightlineError):
  """Pretrained weights cannot be found, fetched or fitted to the backbone."""


class TrainingError(SightlineError):
  """Training cannot begin or cannot go on."""


class ExportError(SightlineError):
  """An export is missing, incomplete or does not answer as it was trained."""


class ServingError(SightlineError):
  """A model server cannot start, cannot be reached or refused a request."""


class RunError(SightlineError):
  """A pipeline run cannot start or did not end well."""
