"""Resolver strategies over the metadata store."""

from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts

_MODEL_ID = 'current_model_id'
_BLESSED = 'blessed'


class LatestServedModelStrategy(resolver.ResolverStrategy):
  """Resolves the newest model that the Evaluator and the ServingValidator both blessed.

  TFX's LatestBlessedModelStrategy asks the Evaluator alone, and so compares with
  models that never reached production.

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
    for model in sorted(input_dict['model'], key=lambda artifact: artifact.id, reverse=True):
      if model.id in evaluated and model.id in servable:
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
  content. ServingValidator, which reads the first, comes from the cache.
  """

  def resolve_artifacts(self, store, input_dict):
    """Returns the model and its oldest predictions."""
    del store
    (model,) = input_dict['model']
    found = [
      artifact
      for artifact in input_dict['predictions']
      if artifact.get_int_custom_property(_MODEL_ID) == model.id
    ]
    oldest = sorted(found, key=lambda artifact: artifact.id)[:1]
    return {'model': [model], 'predictions': oldest}


def _blessed(blessings) -> dict[int, standard_artifacts.ModelBlessing]:
  return {
    blessing.get_int_custom_property(_MODEL_ID): blessing
    for blessing in sorted(blessings, key=lambda artifact: artifact.id)
    if blessing.get_int_custom_property(_BLESSED) == 1
  }
