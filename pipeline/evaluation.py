"""The TFMA config: what the Evaluator measures, slices by and asks for."""

# As tfma.EvalConfig it is there only where TFX was imported first.
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from components.evaluator.overrides import Override
from components.evaluator.verdict import Asked
from schemas import features, signatures
from schemas.config import Config
from schemas.errors import ConfigError

# TFMA's names of the metrics that work on sparse integer labels.
ACCURACY = 'SparseCategoricalAccuracy'
CONFUSION = 'MultiClassConfusionMatrixAtThresholds'


def slice_keys(config: Config) -> list[str]:
  """Returns the keys that test is sliced by: `label`, columns, buckets.

  Raises:
    ConfigError: a floor is asked for a slice, or groups are declared, that are not known.
  """
  for floor in config.evaluate.slice_floors:
    slice_feature(config, floor.slice)
  groups(config)
  return [features.LABEL, *_columns(config), *features.BUCKETS]


def groups(config: Config) -> list[str]:
  """Returns the keys of the columns whose values are to be served equally well.

  Raises:
    ConfigError: one of them is no slice column.
  """
  for name in config.evaluate.groups:
    if name not in config.data.slice_columns:
      raise ConfigError(
        f'evaluate.groups: expected names of data.slice_columns '
        f'({", ".join(config.data.slice_columns) or "none"}). Received: {name}. Name the column of '
        'the manifest in data.slice_columns first.'
      )
  return [features.column(name) for name in config.evaluate.groups]


def slice_feature(config: Config, name: str) -> str:
  """Returns the key of a slice as a person writes it in the config.

  Raises:
    ConfigError: there is no such slice.
  """
  if name in config.data.slice_columns:
    return features.column(name)
  known = (features.LABEL, *features.BUCKETS)
  if name not in known:
    raise ConfigError(
      f'evaluate.slice_floors: expected one of {", ".join((*known, *config.data.slice_columns))}. '
      f'Received: {name}. A further column of the manifest is named in data.slice_columns first.'
    )
  return name


def _columns(config: Config) -> list[str]:
  return [features.column(name) for name in config.data.slice_columns]


def eval_config(config: Config) -> EvalConfig:
  """Builds the Evaluator's config; it has no model spec, for predictions are stored.

  A plain threshold would bind every slice, so the one here is of the overall slice, which is
  the empty one. Of slices components.evaluator.slice_floors judges, which knows when one is
  too small; against the model in service components.evaluator.comparison, which knows what
  chance does.
  """
  result = _measurements(slice_keys(config))
  (accuracy,) = (
    metric for metric in result.metrics_specs[0].metrics if metric.class_name == ACCURACY
  )
  overall = accuracy.per_slice_thresholds.add()
  overall.slicing_specs.add()
  overall.threshold.value_threshold.lower_bound.value = config.evaluate.min_accuracy
  return result


def scoring_config(config: Config) -> EvalConfig:
  """Returns the ProductionEvaluator's: the model runs, records are sliced, nothing is asked for."""
  keys = [features.LABEL, *_columns(config), features.BRIGHTNESS_BUCKET, features.SIZE_BUCKET]
  result = _measurements(keys)
  spec = result.model_specs.add()
  spec.signature_name = signatures.SERVING_EXAMPLES
  spec.preprocessing_function_names.append(signatures.TRANSFORM_FEATURES)
  spec.label_key = features.LABEL_ID
  spec.prediction_key = signatures.PROBABILITIES
  return result


def _measurements(keys: list[str]) -> EvalConfig:
  result = EvalConfig()
  result.slicing_specs.add()
  for key in keys:
    result.slicing_specs.add().feature_keys.append(key)
  metrics = result.metrics_specs.add()
  # No loss here: it fails on a label that the model in service does not know. The
  # candidate's stands in the verdict.
  metrics.metrics.add().class_name = 'ExampleCount'
  # Threshold 0: whatever is most likely is predicted, however unlikely it is.
  metrics.metrics.add(class_name=CONFUSION, config='{"thresholds": [0.0]}')
  metrics.metrics.add().class_name = ACCURACY
  return result


def asked(config: Config) -> Asked:
  """Returns what the Evaluator asks beside TFMA's thresholds."""
  evaluate = config.evaluate
  return Asked(
    figures={'macro_f1': evaluate.min_macro_f1, 'macro_pr_auc': evaluate.min_pr_auc},
    accepted_drop=evaluate.max_accuracy_drop,
    bless=evaluate.bless,
    slice_keys=tuple(slice_keys(config)),
    beat_floor=config.floors.fit and config.floors.gates,
    slice_floors={
      slice_feature(config, floor.slice): floor.min_accuracy for floor in evaluate.slice_floors
    },
    groups=tuple(groups(config)),
    max_group_gap=evaluate.max_group_gap,
    overrides=tuple(
      Override(one.gate, one.who, one.reason, one.when.isoformat()) for one in evaluate.overrides
    ),
  )
