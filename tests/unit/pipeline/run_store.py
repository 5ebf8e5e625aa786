"""A metadata store by hand: executions, artifacts and events as TFX writes them."""

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline import lineage


class Store:
  """Writes executions, artifacts and events the way TFX does."""

  def __init__(self, root):
    self.root = root
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = str(root / lineage.DATABASE)
    connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    self.store = metadata_store.MetadataStore(connection)

  def artifact(self, type_name, uri, **properties):
    key = self.store.put_artifact_type(mlmd.ArtifactType(name=type_name))
    artifact = mlmd.Artifact(type_id=key, uri=uri)
    for name, value in properties.items():
      field = 'int_value' if isinstance(value, int) else 'string_value'
      setattr(artifact.custom_properties[name], field, value)
    return self.store.put_artifacts([artifact])[0]

  def context(self, type_name, name):
    key = self.store.put_context_type(mlmd.ContextType(name=type_name))
    known = self.store.get_context_by_type_and_name(type_name, name)
    return known.id if known else self.store.put_contexts([mlmd.Context(type_id=key, name=name)])[0]

  def note(self, run, **notes):
    """Gives the context of a run custom properties."""
    self.context('pipeline_run', run)
    context = self.store.get_context_by_type_and_name('pipeline_run', run)
    for name, value in notes.items():
      field = 'int_value' if isinstance(value, int) else 'string_value'
      setattr(context.custom_properties[name], field, value)
    self.store.put_contexts([context])

  def execution(
    self, run, component, inputs=(), outputs=(), state='COMPLETE', baseline=(), **parameters
  ):
    key = self.store.put_execution_type(mlmd.ExecutionType(name=f'a.b.{component}'))
    execution = mlmd.Execution(type_id=key, last_known_state=mlmd.Execution.State.Value(state))
    for name, value in parameters.items():
      execution.custom_properties[name].string_value = value
    execution = self.store.put_executions([execution])[0]
    events = [(artifact, mlmd.Event.INPUT, 'input') for artifact in inputs]
    events += [(artifact, mlmd.Event.INPUT, 'baseline_model') for artifact in baseline]
    events += [(artifact, mlmd.Event.OUTPUT, 'output') for artifact in outputs]
    for artifact, kind, name in events:
      event = mlmd.Event(artifact_id=artifact, execution_id=execution, type=kind)
      event.path.steps.add(key=name)
      event.path.steps.add(index=0)
      self.store.put_events([event])
    self.store.put_attributions_and_associations(
      [],
      [
        mlmd.Association(execution_id=execution, context_id=self.context(kind, name))
        for kind, name in (('pipeline_run', run), ('node', f'fruit.{component}'))
      ],
    )

  def whole_run(self, run, dataset, version, baseline=()):
    """One run from the data to a version; returns the id of its model."""
    examples = self.artifact('Examples', f'/{run}/examples')
    data = self.artifact(
      'components.Dataset',
      f'/{run}/dataset',
      dataset_sha256=dataset,
      manifest_sha256=f'manifest of {dataset}',
    )
    model = self.artifact('Model', f'/{run}/model')
    blessing = self.artifact('ModelBlessing', f'/{run}/blessing', blessed=1)
    pushed = self.artifact('PushedModel', f'/{run}/pushed', pushed_version=version)
    self.execution(run, 'ImageExampleGen', [], [examples, data])
    self.execution(run, 'Trainer', [examples], [model])
    self.execution(run, 'Evaluator', [examples, model], [blessing], baseline=baseline)
    self.execution(run, 'Publisher', [model, blessing], [pushed])
    return [examples, data], model, [blessing], pushed
