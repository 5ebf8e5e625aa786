"""Resolver strategies over the metadata store."""

import logging
import os

from ml_metadata.proto import metadata_store_pb2
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


class PreviouslyServedStrategy(resolver.ResolverStrategy):
  """Resolves what served before a candidate: its model and its serving blessing.

  As LatestServedModelStrategy, and never the candidate: once that is published it would be
  compared with itself, and ServingValidator would not come from the cache. A model whose
  files are gone still has a record: then the blessing alone is resolved.

  ```python
  Resolver(
      strategy_class=PreviouslyServedStrategy,
      candidate=trainer.outputs['model'],
      model=Channel(type=Model),
      model_blessing=Channel(type=ModelBlessing),
      infra_blessing=Channel(type=InfraBlessing),
  ).with_id('PreviouslyServed')
  ```
  """

  def resolve_artifacts(self, store, input_dict):
    """Returns the candidate, and one artifact of each other key or none."""
    del store
    (candidate,) = input_dict['candidate']
    evaluated = _blessed(input_dict['model_blessing'])
    servable = _blessed(input_dict['infra_blessing'])
    served = [
      model
      for model in input_dict['model']
      if model.id != candidate.id and model.id in evaluated and model.id in servable
    ]
    if not served:
      return {**{key: [] for key in input_dict}, 'candidate': [candidate]}
    newest = max(served, key=lambda model: evaluated[model.id].id)
    return {
      'candidate': [candidate],
      'model': [newest] if _is_there(newest) else [],
      'model_blessing': [evaluated[newest.id]],
      'infra_blessing': [servable[newest.id]],
    }


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


class PreviousSpanStrategy(resolver.ResolverStrategy):
  """Resolves statistics and dataset of the latest earlier span that DataGate let pass.

  A span that was stopped is no measure for the next one. Of several runs over a
  span, the last one counts.

  ```python
  Resolver(
      strategy_class=PreviousSpanStrategy,
      examples=example_gen.outputs['examples'],
      statistics=Channel(type=ExampleStatistics),
      dataset=Channel(type=components.Dataset),
      report=Channel(type=components.GateReport),
  ).with_id('PreviousSpan')
  ```
  """

  def resolve_artifacts(self, store, input_dict):
    """Returns the examples as they are, and one artifact of each other key or none."""
    (examples,) = input_dict['examples']
    reports = [
      report for report in input_dict['report'] if _span_of(report, examples.span) < examples.span
    ]
    for report in sorted(reports, key=lambda each: (_span_of(each, 0), each.id), reverse=True):
      read = _read_for(store, report)
      found = {
        key: [artifact for artifact in input_dict[key] if artifact.id in read.get(key, ())]
        for key in ('statistics', 'dataset')
      }
      if not all(artifacts and _exists(artifacts[0]) for artifacts in found.values()):
        _log.warning('the files behind %s are gone: it is not compared with', report.uri)
        continue
      return {
        'examples': [examples],
        'statistics': found['statistics'][:1],
        'dataset': found['dataset'][:1],
        'report': [report],
      }
    return {**{key: [] for key in input_dict}, 'examples': [examples]}


def _span_of(report, default: int) -> int:
  """Returns the span that a report lets pass; a report without one is never earlier."""
  return report.get_int_custom_property('span') if report.has_custom_property('span') else default


def _read_for(store, report) -> dict[str, set[int]]:
  """Returns ids of what DataGate read when it wrote the report, by the key of the input."""
  kinds = metadata_store_pb2.Event
  writers = [
    event.execution_id
    for event in store.get_events_by_artifact_ids([report.id])
    if event.type == kinds.OUTPUT
  ]
  # The first wrote it; the others took it from the cache.
  found: dict[str, set[int]] = {}
  for event in store.get_events_by_execution_ids(writers[:1]) if writers else ():
    if event.type == kinds.INPUT and event.path.steps:
      found.setdefault(event.path.steps[0].key, set()).add(event.artifact_id)
  return found


def _exists(artifact) -> bool:
  return fileio.exists(artifact.uri)


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
