"""The pipeline: every component, in the order in which data flows."""

import pathlib
from typing import Any

from tfx.components.example_validator.component import ExampleValidator
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.transform.component import Transform
from tfx.components.tuner.component import Tuner
from tfx.dsl.components.base import base_node
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
  LatestBlessedModelStrategy,
)
from tfx.orchestration import data_types
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2, transform_pb2
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel

import components
from components.analysis.component import Analysis
from components.audit.component import Audit
from components.data_gate.component import DataGate
from components.evaluator.component import Evaluator
from components.floors.component import Floors
from components.image_example_gen.component import ImageExampleGen
from components.import_schema_gen.component import ImportSchemaGen
from components.production_evaluator.component import ProductionEvaluator
from components.publisher import push_inputs
from components.publisher.component import Publisher
from components.resolvers.strategies import (
  FirstPredictionsStrategy,
  LatestServedModelStrategy,
  PreviouslyServedStrategy,
  PreviousSpanStrategy,
)
from components.schema_gen.component import SchemaGen
from components.schema_gen.statistics import statistics_options
from components.serving_validator.component import ServingValidator
from components.trainer.component import Trainer
from components.trainer.executor import RUN_PARAMETERS
from pipeline import (
  beam_engine,
  data_check,
  evaluation,
  metadata_store,
  model_check,
  own_code,
  publication_check,
  search_space,
  weights,
)
from pipeline.code_fingerprint import fingerprint
from schemas import features
from schemas.config import Config

BEAM_ARGS = beam_engine.LOCAL
# Their workers read images and write results by paths, not by addresses of a bucket.
_FILES_OF_THIS_MACHINE = (ImageExampleGen, Evaluator, ProductionEvaluator)
# The parts of the config that training reads.
_READ_BY_TRAINING: dict[str, Any] = {
  'name': True,
  'data': {'directional'},
  'image': True,
  'augment': True,
  'model': True,
  'train': True,
  'decision': True,
}
# Whose code decides which pixels an image has.
_DECODING = (
  'models.byte_reading',
  'models.decoder',
  'models.frame_header',
  'models.image_file',
  'models.image_formats',
  'models.image_limits',
  'models.orientation',
)
# What ingest makes of a file: it decodes and measures.
_INGEST = ('components.image_example_gen', 'models.measurements', *_DECODING)


def create_pipeline(config: Config, through: str | None = None) -> Pipeline:
  """Wires one experiment.

  Args:
    config: of the experiment.
    through: id of the last component that is wanted; by default all of them.

  Raises:
    ConfigError: the schema cannot be read, a card is incomplete that is required, or
      whose model is to be published outside the run folder, or there is no such backbone.
    DataError: the manifest lacks a slice column.
  """
  data_check.check(config.data)
  publication_check.check(config)
  model_check.check(config)
  beam_engine.check_folders(config)
  root = _root(config)
  kubeflow = config.run.engine != 'local'

  example_gen = ImageExampleGen(
    data=config.data,
    state_dir=str(config.state),
    code_fingerprint=fingerprint('schemas', *_INGEST),
    # Kubeflow runs no driver of ours: whoever submits says which data it is.
    **(_data_parameters(config) if kubeflow else {}),
  )
  examples = example_gen.outputs['examples']
  dataset = example_gen.outputs['dataset']

  audit = Audit(
    dataset=dataset,
    quarantine=example_gen.outputs['quarantine'],
    name=config.name,
    data=config.data,
    settings=config.audit,
    code_fingerprint=fingerprint('components.audit', *_INGEST),
  )

  statistics_gen = StatisticsGen(examples=examples, stats_options=statistics_options())
  statistics = statistics_gen.outputs['statistics']
  schema_gen = _schema_gen(config, statistics)
  schema = schema_gen.outputs['schema']
  example_validator = ExampleValidator(
    statistics=statistics,
    schema=schema,
    # What was served may hold labels that nobody trained on: it is scored, not refused.
    exclude_splits=[features.PRODUCTION],
  )
  # Kubeflow's compiler knows TFX's own strategies only, and none of them is this one.
  previous_span = None if kubeflow else _previous_span(examples)
  data_gate = DataGate(
    anomalies=example_validator.outputs['anomalies'],
    schema=schema,
    dataset=dataset,
    statistics=statistics,
    previous_statistics=previous_span.outputs['statistics'] if previous_span else None,
    previous_dataset=previous_span.outputs['dataset'] if previous_span else None,
    on_drift=config.data.on_drift,
    code_fingerprint=fingerprint('components.data_gate', 'components.image_example_gen.records'),
  )

  transform = Transform(
    examples=examples,
    schema=schema,
    preprocessing_fn='models.preprocessing.preprocessing_fn',
    # Nothing is written: images are decoded where they are needed.
    splits_config=transform_pb2.SplitsConfig(analyze=[features.TRAIN], transform=[]),
    materialize=False,
    # StatisticsGen measures the records; of these nobody reads a second set.
    disable_statistics=True,
    custom_config={
      'image': config.image.model_dump_json(),
      'code_fingerprint': fingerprint('models.preprocessing', *_DECODING, 'schemas.features'),
    },
  )

  tuner = _tuner(config, examples, transform, schema) if config.tuner.trials else None
  trainer = Trainer(
    examples=examples,
    transform_graph=transform.outputs['transform_graph'],
    schema=schema,
    hyperparameters=tuner.outputs['best_hyperparameters'] if tuner else None,
    run_fn='models.training.run.run_fn',
    train_args=trainer_pb2.TrainArgs(splits=[features.TRAIN]),
    eval_args=trainer_pb2.EvalArgs(splits=[features.VAL]),
    custom_config=_training_config(config),
    run_parameters=_training_parameters(config) if kubeflow else None,
  )
  model = trainer.outputs['model']

  floors = None
  if config.floors.fit:
    floors = Floors(
      dataset=dataset,
      code_fingerprint=fingerprint('components.floors', 'components.audit.cheap_features'),
    )

  # The open-source backend refuses any resolver: there a submission names the model.
  resolved = config.run.engine != 'kfp'
  served_model = _served_model(kubeflow) if resolved else None
  evaluator = Evaluator(
    examples=examples,
    model=model,
    baseline_model=served_model.outputs['model'] if served_model else None,
    baseline_uri=None
    if resolved
    else data_types.RuntimeParameter(name='baseline_model', ptype=str, default=''),
    eval_config=evaluation.eval_config(config),
    example_splits=[features.TEST],
    dataset=dataset,
    floors=floors.outputs['floors'] if floors else None,
    code_fingerprint=fingerprint('components.evaluator', 'models.decision'),
    asked=evaluation.asked(config),
    state_dir=str(config.state),
  )
  predictions = evaluator.outputs['predictions']
  nodes: list[base_node.BaseNode] = [
    example_gen,
    audit,
    statistics_gen,
    schema_gen,
    example_validator,
    *([previous_span] if previous_span else []),
    data_gate,
    transform,
    *([tuner] if tuner else []),
    trainer,
    *([floors] if floors else []),
    *([served_model] if served_model else []),
    evaluator,
  ]
  if not kubeflow:
    first = _first_predictions(model)
    predictions = first.outputs['predictions']
    nodes.append(first)

  if config.data.production:
    nodes.append(
      ProductionEvaluator(
        examples=examples,
        model=model,
        eval_config=evaluation.scoring_config(config),
        code_fingerprint=fingerprint('components.production_evaluator', 'components.evaluator'),
      )
    )

  # Kubeflow's compiler does not know the strategy: there a version is compared with none.
  previous = None if kubeflow else _previously_served(model)
  serving_validator = ServingValidator(
    model=model,
    examples=examples,
    predictions=predictions,
    config=config.serving_validator,
    code_fingerprint=fingerprint(
      'serving', 'components.serving_validator', 'models.proof', 'models.decision', *_DECODING
    ),
    baseline_model=previous.outputs['model'] if previous else None,
    baseline_blessing=previous.outputs['infra_blessing'] if previous else None,
    stage_code=fingerprint('models.decision', *_DECODING),
  )
  publisher = Publisher(
    model=model,
    model_blessing=evaluator.outputs['blessing'],
    infra_blessing=serving_validator.outputs['blessing'],
    push_destination=_push_destination(config),
    custom_config=_bucket(config),
  )
  nodes += [*([previous] if previous else []), serving_validator, publisher]
  analysis = None
  if config.analysis.run:
    analysis = Analysis(
      dataset=dataset,
      audit=audit.outputs['audit'],
      examples=examples,
      model=model,
      model_run=trainer.outputs['model_run'],
      predictions=predictions,
      settings=config.analysis,
      code_fingerprint=fingerprint('components.analysis', 'components.evaluator.metrics', 'models'),
    )
    nodes.append(analysis)
  if through:
    nodes = nodes[: [node.id for node in nodes].index(through) + 1]
  for after_gate in (transform, floors):
    if after_gate is not None and after_gate in nodes:
      after_gate.add_upstream_node(data_gate)
  if not kubeflow and first in nodes:
    first.add_upstream_node(evaluator)
  # It gates nothing: what can be published does not wait for it.
  if analysis is not None and analysis in nodes:
    analysis.add_upstream_node(publisher)
  # A person can look at the page before anything was learnt from the data.
  for learning in (tuner, trainer):
    if learning is not None and learning in nodes:
      learning.add_upstream_node(audit)

  engine, for_files = (
    beam_engine.arguments(config.beam),
    beam_engine.arguments_for_files(config.beam),
  )
  for node in nodes:
    if for_files != engine and isinstance(node, _FILES_OF_THIS_MACHINE):
      node.with_beam_pipeline_args(list(for_files))

  return Pipeline(
    pipeline_name=config.name,
    pipeline_root=str(root / 'artifacts'),
    components=nodes,
    enable_cache=config.run.cache,
    # Kubeflow keeps the metadata itself.
    metadata_connection_config=None if kubeflow else metadata_store.connection(config),
    beam_pipeline_args=list(engine),
  )


def _schema_gen(config: Config, statistics: BaseChannel) -> base_node.BaseNode:
  if config.data.schema_path:
    return ImportSchemaGen(
      schema_file=str(config.data.schema_path), carry_text=config.run.engine != 'local'
    )
  return SchemaGen(
    statistics=statistics,
    exclude_splits=[features.VAL, features.TEST, features.PRODUCTION],
    code_fingerprint=fingerprint(
      'components.schema_gen', 'schemas.features', 'models.image_formats'
    ),
  )


def _tuner(
  config: Config, examples: BaseChannel, transform: Transform, schema: BaseChannel
) -> Tuner:
  search_space.check(config)
  return Tuner(
    examples=examples,
    transform_graph=transform.outputs['transform_graph'],
    schema=schema,
    tuner_fn='models.training.tuning.tuner_fn',
    # Of test it is given no path.
    train_args=trainer_pb2.TrainArgs(splits=[features.TRAIN]),
    eval_args=trainer_pb2.EvalArgs(splits=[features.VAL]),
    custom_config=_training_config(config)
    | {
      'config': config.model_dump_json(by_alias=True, include=_READ_BY_TRAINING | {'tuner': True})
    },
  )


def _previous_span(examples: BaseChannel) -> Resolver:
  """Returns the resolver of the span that this one is compared with."""
  return Resolver(
    strategy_class=PreviousSpanStrategy,
    examples=examples,
    statistics=Channel(type=standard_artifacts.ExampleStatistics),
    dataset=Channel(type=components.Dataset),
    report=Channel(type=components.GateReport),
  ).with_id('PreviousSpan')


def _served_model(kubeflow: bool) -> Resolver:
  """Returns the resolver of the model that the candidate is compared with."""
  model = Channel(type=standard_artifacts.Model)
  blessing = Channel(type=standard_artifacts.ModelBlessing)
  if kubeflow:
    # Its compiler knows TFX's own strategies only.
    resolver = Resolver(
      strategy_class=LatestBlessedModelStrategy, model=model, model_blessing=blessing
    )
  else:
    resolver = Resolver(
      strategy_class=LatestServedModelStrategy,
      model=model,
      model_blessing=blessing,
      infra_blessing=Channel(type=standard_artifacts.InfraBlessing),
    )
  return resolver.with_id('LatestServedModel')


def _previously_served(model: BaseChannel) -> Resolver:
  """Returns the resolver of the version that the candidate's time and size are compared with."""
  return Resolver(
    strategy_class=PreviouslyServedStrategy,
    candidate=model,
    model=Channel(type=standard_artifacts.Model),
    model_blessing=Channel(type=standard_artifacts.ModelBlessing),
    infra_blessing=Channel(type=standard_artifacts.InfraBlessing),
  ).with_id('PreviouslyServed')


def _first_predictions(model: BaseChannel) -> Resolver:
  return Resolver(
    strategy_class=FirstPredictionsStrategy,
    model=model,
    predictions=Channel(type=components.Predictions),
  ).with_id('FirstPredictions')


def _data_parameters(config: Config) -> dict[str, data_types.RuntimeParameter]:
  return {
    'data_fingerprint': data_types.RuntimeParameter(name='data_fingerprint', ptype=str, default=''),
    'span': data_types.RuntimeParameter(name='span', ptype=int, default=config.data.span or 0),
    'data_root': data_types.RuntimeParameter(
      name='data_root', ptype=str, default=str(config.data.root)
    ),
  }


def _training_parameters(config: Config) -> dict[str, data_types.RuntimeParameter]:
  """Returns what a submission may change: what this experiment reads of it."""
  return {
    name: data_types.RuntimeParameter(name=name, ptype=kind, default=getattr(config.train, name))
    for name, kind in RUN_PARAMETERS.items()
    # Stages that are written out have epochs and rates of their own.
    if config.train.stages is None or name == 'batch_size'
  }


def _training_config(config: Config) -> dict[str, str]:
  """Returns what run_fn reads; a change in any of it trains anew."""
  found = weights.resolve(config)
  return {
    'config': config.model_dump_json(by_alias=True, include=_READ_BY_TRAINING),
    # Checkpoints outlive the run that wrote them.
    'state_dir': str(config.state),
    'weights': found,
    'weights_sha256': weights.sha256(config, found),
    'code_fingerprint': fingerprint('models', 'schemas', 'components.trainer'),
    'own_code_fingerprint': own_code.fingerprint(config),
  }


def _root(config: Config) -> pathlib.Path:
  assert config.run.root is not None  # the loader fills it in
  return config.run.root


def _push_destination(config: Config):
  folder = _serving_directory(config)
  if config.run.engine == 'local':
    return pusher_pb2.PushDestination(
      filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(folder))
    )
  # Below the run root it is a folder of this machine: then a submission has to say where.
  named = not folder.is_relative_to(_root(config))
  return data_types.RuntimeParameter(
    name='serving_directory', ptype=str, default=str(folder) if named else None
  )


def _bucket(config: Config) -> dict[str, str] | None:
  if config.publish.bucket is None:
    return None
  return {push_inputs.BUCKET: f'{config.publish.bucket.rstrip("/")}/{config.model_name}'}


def _serving_directory(config: Config) -> pathlib.Path:
  assert config.publish.directory is not None  # the loader fills it in
  return config.publish.directory / config.model_name
