"""TFMA over stored predictions: no model runs a second time for it."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants

# As tfma.EvalConfig it is there only where TFX was imported first.
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from schemas import features

# Columns of predictions.parquet, and so the names of the models in TFMA's results.
CANDIDATE, BASELINE = constants.CANDIDATE_KEY, constants.BASELINE_KEY
_BATCH = 1000


def model_specs(config: EvalConfig, with_baseline: bool) -> EvalConfig:
  """Returns the config with a model spec for each model whose predictions are stored.

  Args:
    config: without model specs.
    with_baseline: whether those of the model in service are there.
  """
  result = EvalConfig()
  result.CopyFrom(config)
  candidate = result.model_specs.add(label_key=features.LABEL_ID, prediction_key=CANDIDATE)
  if with_baseline:
    candidate.name = CANDIDATE
    result.model_specs.add(
      name=BASELINE, is_baseline=True, label_key=features.LABEL_ID, prediction_key=BASELINE
    )
  return result


def measure(
  predicted: pa.Table,
  values: Mapping[str, Sequence[str]],
  config: EvalConfig,
  folder: pathlib.Path,
  pipeline: Callable[[], beam.Pipeline],
) -> None:
  """Writes TFMA's results, which its own functions load.

  Args:
    predicted: `label_id`, `candidate` and, where the config asks for it, `baseline`.
    values: of the slices, by key; as many as rows.
    config: of model_specs.
    folder: where to write.
    pipeline: a Beam pipeline that has not begun.
  """
  batches = record_batches(predicted, values, len(config.model_specs) > 1)
  with pipeline() as running:
    _ = (
      running
      | 'StoredPredictions' >> beam.Create(batches, reshuffle=False)
      | 'Measure'
      >> tfma.ExtractEvaluateAndWriteResults(eval_config=config, output_path=str(folder))
    )


def record_batches(
  predicted: pa.Table, values: Mapping[str, Sequence[str]], with_baseline: bool
) -> list[pa.RecordBatch]:
  """Returns the rows as TFMA reads them: every value is a list."""
  columns: dict[str, pa.Array] = {
    features.LABEL_ID: pa.array(
      [[value] for value in predicted[features.LABEL_ID].to_pylist()], pa.list_(pa.int64())
    )
  }
  for name in (CANDIDATE, BASELINE) if with_baseline else (CANDIDATE,):
    columns[name] = pa.array(predicted[name].to_pylist(), pa.list_(pa.float32()))
  for key, found in values.items():
    # An image without a value is in none of the slices.
    columns[key] = pa.array(
      [[value.encode()] if value else [] for value in found], pa.list_(pa.binary())
    )
  return pa.table(columns).combine_chunks().to_batches(max_chunksize=_BATCH)
