"""Resolver strategies over the metadata store."""

import logging
import os

from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts
from tfx.utils import path_utils

_MODEL_ID = 'current_model_id'
_BLESSED = 'blessed'

_log = logging.getLogger(__name__)


class LatestServedModelStrategy(resolver.ResolverStrategy):
  """Resolves the newest model that the Evaluator and the ServingValidator both blessed.

  Newest is what the Evaluator blessed last: an older model that is trained, or
  taken from the cache, and blessed again is the one in service. TFX's
  LatestBlessedModelStrategy goes by the model's age and asks the Evaluator alone,
  and so compares with models that never reached production. A model whose files
  are gone is passed over, with a warning.

  ```python
  Resolver(
      strategy_class=LatestServedModelStrategy,
      model=Channel(type=Model),
      model_blessing=Channel(type=ModelBlessing),
      infra_blessing=Channel(type=InfraBlessing),
  ).with_id('LatestServedModel')
  ```
  """

  def resolve_artifacts(self, store, input_dict):
    """Returns one artifact a key, or none a key where no model qualifies."""
    del store
    evaluated = _blessed(input_dict['model_blessing'])
    servable = _blessed(input_dict['infra_blessing'])
    models = [model for model in input_dict['model'] if model.id in evaluated]
    for model in sorted(models, key=lambda each: evaluated[each.id].id, reverse=True):
      if model.id not in servable:
        continue
      if not _is_there(model):
        _log.warning('%s was blessed, but its files are gone: it is no baseline', model.uri)
        continue
      return {
        'model': [model],
        'model_blessing': [evaluated[model.id]],
        'infra_blessing': [servable[model.id]],
      }
    return {key: [] for key in input_dict}


class FirstPredictionsStrategy(resolver.ResolverStrategy):
  """Resolves what the Evaluator predicted when it first saw a model.

  The Evaluator runs again whenever the model in service changes, and its
  predictions for one and the same model are then a new artifact with the same
  content. ServingValidator, which reads the first, comes from the cache. First
  means: by the Evaluator's code of today.
  """

  def resolve_artifacts(self, store, input_dict):
    """Returns the model and its oldest predictions."""
    del store
    (model,) = input_dict['model']
    found = sorted(
      (
        artifact
        for artifact in input_dict['predictions']
        if artifact.get_int_custom_property(_MODEL_ID) == model.id
      ),
      key=lambda artifact: artifact.id,
    )
    by_todays_code = [artifact for artifact in found if _code_of(artifact) == _code_of(found[-1])]
    return {'model': [model], 'predictions': by_todays_code[:1]}


def _code_of(predictions) -> str:
  return predictions.get_string_custom_property('code_fingerprint')


def _is_there(model) -> bool:
  folder = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
  return fileio.exists(os.path.join(folder, 'saved_model.pb'))


def _blessed(blessings) -> dict[int, standard_artifacts.ModelBlessing]:
  return {
    blessing.get_int_custom_property(_MODEL_ID): blessing
    for blessing in sorted(blessings, key=lambda artifact: artifact.id)
    if blessing.get_int_custom_property(_BLESSED) == 1
  }
