"""The TFMA config: what the Evaluator measures, slices by and asks for."""

import tensorflow_model_analysis as tfma

from components.evaluator.verdict import Asked
from schemas import features, signatures
from schemas.config import Config
from schemas.errors import ConfigError

# TFMA's names of the metrics that work on sparse integer labels.
ACCURACY = 'SparseCategoricalAccuracy'
CONFUSION = 'MultiClassConfusionMatrixAtThresholds'


def slice_keys(config: Config) -> list[str]:
  """Returns the feature keys that test is sliced by, `label` first.

  Raises:
    ConfigError: a floor is asked for a slice that is not known.
  """
  columns = [features.column(name) for name in config.data.slice_columns]
  keys = [features.LABEL, *columns, config.evaluate.bucket]
  floors = [slice_feature(config, floor.slice) for floor in config.evaluate.slice_floors]
  return list(dict.fromkeys([*keys, *floors]))


def slice_feature(config: Config, name: str) -> str:
  """Returns the feature key of a slice as a person writes it in the config.

  Raises:
    ConfigError: there is no such slice.
  """
  if name in config.data.slice_columns:
    return features.column(name)
  known = (features.LABEL, features.BRIGHTNESS_BUCKET, features.SIZE_BUCKET)
  if name not in known:
    raise ConfigError(
      f'evaluate.slice_floors: expected one of {", ".join((*known, *config.data.slice_columns))}. '
      f'Received: {name}. A further column of the manifest is named in data.slice_columns first.'
    )
  return name


def eval_config(config: Config) -> tfma.EvalConfig:
  """Builds the Evaluator's config.

  A plain threshold would bind every slice, so each is written per slice: the
  overall slice is the empty one. Against the model in service no threshold is set:
  components.evaluator.comparison judges it, which knows what chance does.
  """
  evaluate = config.evaluate
  result = tfma.EvalConfig()
  spec = result.model_specs.add()
  spec.signature_name = signatures.SERVING_EXAMPLES
  spec.preprocessing_function_names.append(signatures.TRANSFORM_FEATURES)
  spec.label_key = features.LABEL_ID
  spec.prediction_key = signatures.PROBABILITIES
  result.slicing_specs.add()
  for key in slice_keys(config):
    result.slicing_specs.add().feature_keys.append(key)
  metrics = result.metrics_specs.add()
  # No loss here: it fails on a label that the model in service does not know. The
  # candidate's stands in the verdict.
  metrics.metrics.add().class_name = 'ExampleCount'
  # Threshold 0: whatever is most likely is predicted, however unlikely it is.
  metrics.metrics.add(class_name=CONFUSION, config='{"thresholds": [0.0]}')
  accuracy = metrics.metrics.add()
  accuracy.class_name = ACCURACY
  overall = accuracy.per_slice_thresholds.add()
  overall.slicing_specs.add()
  overall.threshold.value_threshold.lower_bound.value = evaluate.min_accuracy
  for floor in evaluate.slice_floors:
    per_slice = accuracy.per_slice_thresholds.add()
    per_slice.slicing_specs.add().feature_keys.append(slice_feature(config, floor.slice))
    per_slice.threshold.value_threshold.lower_bound.value = floor.min_accuracy
  return result


def scoring_config(config: Config) -> tfma.EvalConfig:
  """Returns the same measurements and slices without a threshold: nothing is asked for."""
  result = eval_config(config)
  for specs in result.metrics_specs:
    for metric in specs.metrics:
      metric.ClearField('per_slice_thresholds')
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
  )
