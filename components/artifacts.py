"""Artifact types of Sightline's own components.

Each TYPE_NAME is an import path: the Kubeflow compiler writes it into the
pipeline and its container imports the class under it.
"""

from tfx.types.artifact import Artifact


class Quarantine(Artifact):
  """The rows of the manifest that were not used: quarantine.csv (row, filename, reason, detail)."""

  TYPE_NAME = 'components.Quarantine'


class Dataset(Artifact):
  """What was accepted: manifest.parquet (one row an image) and dataset.json.

  Beside them, thumbnails.npy (uint8 [images, 32, 32, 3], rows as in the manifest)
  and findings.csv: copies, conflicts of labels, leaks, personal data, by file.
  Custom properties: `dataset_sha256` changes with any pixel, label, split or
  decision and not with row order; `manifest_sha256` is that of the manifest
  file's bytes.
  """

  TYPE_NAME = 'components.Dataset'


class Audit(Artifact):
  """What a person should see of the data: audit.html, audit.json, and all of it as CSVs."""

  TYPE_NAME = 'components.Audit'


class GateReport(Artifact):
  """What DataGate looked at when it let the data pass: report.json."""

  TYPE_NAME = 'components.GateReport'


class Predictions(Artifact):
  """predictions.parquet: image id, label, probabilities of candidate and baseline."""

  TYPE_NAME = 'components.Predictions'


class Floors(Artifact):
  """What simple models answer on test: floors.parquet (a row an image), and floors.json."""

  TYPE_NAME = 'components.Floors'


class Analysis(Artifact):
  """Why a model answers as it does: analysis.json, and the pictures that it names in pictures/."""

  TYPE_NAME = 'components.Analysis'
