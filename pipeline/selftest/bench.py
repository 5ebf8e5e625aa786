"""A clean experiment, made once, and the pipeline's own gates on whatever is put before them."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow_transform as tft
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

import components
from components.evaluator import executor as evaluator
from components.evaluator import verdict
from components.serving_validator import executor as serving_validator
from components.serving_validator import gates
from models import classifier
from models import export as exports
from models.training import export_proof, pixel_statistics
from models.training import run as training
from models.training.data import TrainingData
from pipeline import evaluation, runner
from pipeline.create_pipeline import BEAM_ARGS
from pipeline.selftest import pictures
from pipeline.selftest.caught import Caught, refusal
from schemas import features
from schemas.config import Config
from schemas.errors import SightlineError
from schemas.loader import build_config

IMAGES = 150
# The names of the gates, as the table of faults has them.
PIXEL_STATISTICS = 'Trainer: pixel statistics'
EXPORT_PROOF = 'Trainer: export'
EVALUATOR = 'Evaluator'
SERVING_VALIDATOR = 'ServingValidator'

Network = Callable[..., Any]


def _config(root: pathlib.Path, name: str) -> Config:
  return build_config(
    {
      'name': 'selftest',
      'data': {'root': str(root / name), 'split': {'train': 0.6, 'val': 0.2, 'test': 0.2}},
      'image': {'height': 32, 'width': 32},
      # No dropout: BatchNorm in training mode is to be found for itself.
      'model': {'backbone': 'efficientnet_tiny', 'weights': 'none', 'dropout': 0.0},
      'train': {'batch_size': 16, 'epochs': 10, 'learning_rate': 0.004},
      'evaluate': {'min_accuracy': 0.8},
      # Of such pictures a simple model has every one right.
      'floors': {'fit': False},
      'audit': {'suspects': False},
      'serving_validator': {'p95_ms': 10_000.0, 'disk_mb': 200.0, 'rss_mb': 20_000.0},
      'run': {'root': str(root / 'runs' / name)},
    },
    'selftest',
  )


class Bench:
  """The clean experiment: data, records, network, export and what was evaluated of it."""

  def __init__(self, root: pathlib.Path):
    """Makes the data and runs the pipeline on them, through Transform.

    Args:
      root: an empty folder for all of it.

    Raises:
      SightlineError: a gate of the pipeline refuses the clean data.
    """
    self.root = root
    self.config = _config(root, 'data')
    self._numbers = iter(range(1, 1000))
    pictures.write(root / 'data' / 'span-1', IMAGES, seed=1)
    stopped = run_pipeline(self.config, 'Transform')
    if stopped:
      raise SightlineError(f'the clean data: {stopped.gate} refuses them. {stopped.said}')
    self.data = TrainingData(
      self.records(features.TRAIN), self.records(features.VAL), self._transform()
    )

  def train_and_export(self) -> None:
    """Trains on the clean data, with the checks of every training, and exports."""
    self.trained = training.train(self.config, self.data, 'none', self.root / 'model_run')
    self.exported = self.export(self.root / 'model')

  def records(self, split: str) -> list[str]:
    """Returns the record files of a split."""
    folder = self.artifact('ImageExampleGen', 'examples') / f'Split-{split}'
    return sorted(str(path) for path in folder.iterdir())

  def artifact(self, component: str, key: str) -> pathlib.Path:
    """Returns the folder of what the first run wrote."""
    root = self.config.run.root
    assert root is not None  # given above
    return min((root / 'artifacts' / component / key).iterdir(), key=lambda path: int(path.name))

  def _transform(self):
    return tft.TFTransformOutput(str(self.artifact('Transform', 'transform_graph')))

  def folder(self) -> pathlib.Path:
    """Returns a new folder."""
    made = self.root / 'made' / str(next(self._numbers))
    made.mkdir(parents=True)
    return made

  def export(
    self, artifact: pathlib.Path, network: Network | None = None, labels: list[str] | None = None
  ) -> pathlib.Path:
    """Writes an export as the Trainer does; `network` and `labels` in place of the honest ones.

    Returns:
      Its folder, inside that of the artifact.
    """
    written = artifact / 'Format-Serving'
    exports.export(
      self.trained.model,
      self.data.transform,
      self.data.transform_layer,
      self.config,
      labels or self.data.labels,
      self.trained.known,
      written,
      'selftest',
      self.trained.decision,
      planted(self.trained.model, network) if network else None,
    )
    return written

  def check_statistics(self, mean: np.ndarray, variance: np.ndarray) -> Caught | None:
    """Asks the check of every training about statistics of pixels."""
    return refusal(
      PIXEL_STATISTICS,
      lambda: pixel_statistics.check(
        self.data.train, self.data.parse_batch, self.config.image, mean, variance
      ),
    )

  def prove(self, exported: pathlib.Path) -> Caught | None:
    """Asks the Trainer's last check about an export."""
    return refusal(
      EXPORT_PROOF,
      lambda: export_proof.prove(
        exported,
        self.trained.model,
        self.trained.decision,
        self.data.labels,
        self.config.image,
        self.data.val,
      ),
    )

  def evaluate(self, artifact: pathlib.Path, folder: pathlib.Path) -> Caught | None:
    """Runs the Evaluator's executor on test; below `folder` it writes what it does."""
    outputs = {
      'evaluation': standard_artifacts.ModelEvaluation,
      'blessing': standard_artifacts.ModelBlessing,
      'predictions': components.Predictions,
    }
    context = evaluator.Executor.Context(
      beam_pipeline_args=list(BEAM_ARGS), tmp_dir=str(self.root / 'tmp'), unique_id='1'
    )
    evaluator.Executor(context).Do(
      {
        'examples': [self._examples()],
        'model': [_artifact(standard_artifacts.Model, artifact)],
        'dataset': [_artifact(components.Dataset, self.artifact('ImageExampleGen', 'dataset'))],
      },
      {key: [_new(kind, folder / key)] for key, kind in outputs.items()},
      {
        'eval_config': proto_utils.proto_to_json(evaluation.eval_config(self.config)),
        'example_splits': json_utils.dumps([features.TEST]),
        'asked': json.dumps(dataclasses.asdict(evaluation.asked(self.config))),
        'state_dir': '',
        'code_fingerprint': '',
      },
    )
    judged = json.loads((folder / 'evaluation' / verdict.FILE).read_text(encoding='utf-8'))
    self.accuracy = judged['candidate']['accuracy']['value']
    return None if judged['blessed'] else Caught(EVALUATOR, ' '.join(judged['reasons']))

  def validate(self, artifact: pathlib.Path, predictions: pathlib.Path) -> Caught | None:
    """Runs the ServingValidator's executor: the export against what was evaluated."""
    folder = self.folder()
    serving_validator.Executor().Do(
      {
        'model': [_artifact(standard_artifacts.Model, artifact)],
        'examples': [self._examples()],
        'predictions': [_artifact(components.Predictions, predictions)],
      },
      {'blessing': [_new(standard_artifacts.InfraBlessing, folder / 'blessing')]},
      {'config': self.config.serving_validator.model_dump_json()},
    )
    failed = gates.read(folder / 'blessing').failed
    if not failed:
      return None
    names = ', '.join(gate.gate for gate in failed)
    said = [dataclasses.replace(gate, detail=_told(gate.detail)).sentence() for gate in failed]
    return Caught(f'{SERVING_VALIDATOR}: {names}', ' '.join(said))

  def write_identity(self, exported: pathlib.Path) -> None:
    """Gives an export the identity of the evaluated one."""
    exports.write_identity(
      exported, self.config, self.data.labels, 'selftest', self.trained.decision
    )

  def planted_data(self, name: str) -> Config:
    """Returns the config of another data set, below the same folder, with a record of its own."""
    return _config(self.root, name)

  def _examples(self):
    made = _artifact(standard_artifacts.Examples, self.artifact('ImageExampleGen', 'examples'))
    made.split_names = json.dumps(list(features.SPLITS))
    return made


def planted(model, network: Network):
  """Returns what an export runs otherwise than it was trained: pooled features and logits."""
  both = classifier.to_features_and_logits(model)
  return lambda pixels, training: (both(pixels, training=training)[0], network(model, pixels))


class _Unheard:
  """A listener of a run that nobody watches."""

  def planned(self, components: list[str]) -> None:
    pass

  def started(self, component: str) -> None:
    pass

  def finished(self, component: str, outcome: str, seconds: float) -> None:
    pass


def run_pipeline(config: Config, through: str) -> Caught | None:
  """Runs the pipeline of a config through a component; returns which one stopped it, if one did."""
  with runner.open_run(config) as run:
    with contextlib.suppress(SightlineError):
      runner.execute(lambda: runner.compile_pipeline(config, through), run, _Unheard())
  if run.error is None:
    return None
  *_, last = run.components
  return Caught(last, run.error)


def _told(detail: str) -> str:
  """Returns the line of a crash that names the error; any other detail is one line."""
  lines = detail.splitlines() or ['']
  return next((line for line in reversed(lines) if 'Error' in line), lines[-1])


def _artifact(kind, uri: pathlib.Path):
  made = kind()
  made.uri = str(uri)
  return made


def _new(kind, uri: pathlib.Path):
  uri.mkdir(parents=True)
  return _artifact(kind, uri)
