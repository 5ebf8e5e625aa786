"""Which span the present one is compared with, over a real metadata store."""

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_artifacts

import components
from components.resolvers.strategies import PreviousSpanStrategy


class Record:
  """A store with what DataGate read and wrote in earlier runs."""

  def __init__(self, folder):
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    self.store = metadata_store.MetadataStore(config)
    self._kind = self.store.put_artifact_type(mlmd.ArtifactType(name='any'))
    self._execution = self.store.put_execution_type(mlmd.ExecutionType(name='DataGate'))
    self._folder = folder
    self.inputs: dict[str, list] = {'statistics': [], 'dataset': [], 'report': []}

  def artifact(self, kind, name, there=True):
    made = kind()
    made.uri = str(self._folder / name)
    if there:
      (self._folder / name).mkdir()
    [made.id] = self.store.put_artifacts([mlmd.Artifact(type_id=self._kind, uri=made.uri)])
    return made

  def passed(self, span, name, there=True, marked=True):
    """A run whose DataGate let the span pass."""
    statistics = self.artifact(standard_artifacts.ExampleStatistics, f'{name}-statistics', there)
    dataset = self.artifact(components.Dataset, f'{name}-dataset')
    report = self.artifact(components.GateReport, f'{name}-report')
    if marked:
      report.set_int_custom_property('span', span)
    [execution] = self.store.put_executions([mlmd.Execution(type_id=self._execution)])
    # What it was compared with, and what it read besides, is no measure.
    other = self.artifact(standard_artifacts.ExampleStatistics, f'{name}-other')
    report_of_anomalies = self.artifact(standard_artifacts.ExampleAnomalies, f'{name}-anomalies')
    self.inputs['statistics'].insert(0, other)
    self.store.put_events(
      [
        self._event(execution, other, mlmd.Event.INPUT, 'previous_statistics'),
        self._event(execution, report_of_anomalies, mlmd.Event.INPUT, 'anomalies'),
        self._event(execution, statistics, mlmd.Event.INPUT, 'statistics'),
        self._event(execution, dataset, mlmd.Event.INPUT, 'dataset'),
        self._event(execution, report, mlmd.Event.OUTPUT, 'report'),
      ]
    )
    for key, made in (('statistics', statistics), ('dataset', dataset), ('report', report)):
      self.inputs[key].append(made)

  def stopped(self, name):
    """A run whose DataGate stopped it: statistics and dataset, and no report."""
    for key, kind in (
      ('statistics', standard_artifacts.ExampleStatistics),
      ('dataset', components.Dataset),
    ):
      self.inputs[key].append(self.artifact(kind, f'{name}-{key}'))

  def resolve(self, span):
    examples = standard_artifacts.Examples()
    examples.span = span
    found = PreviousSpanStrategy().resolve_artifacts(
      self.store, {'examples': [examples], **self.inputs}
    )
    assert found['examples'] == [examples]
    return [
      pathlike.uri.rpartition('/')[2]
      for key in ('statistics', 'dataset')
      for pathlike in found[key]
    ]

  @staticmethod
  def _event(execution, artifact, kind, key):
    event = mlmd.Event(execution_id=execution, artifact_id=artifact.id, type=kind)
    event.path.steps.add().key = key
    return event


@pytest.fixture
def record(tmp_path):
  return Record(tmp_path)


def test_the_latest_earlier_span(record):
  for span in (1, 3, 2):
    record.passed(span, f'span{span}')
  assert record.resolve(4) == ['span3-statistics', 'span3-dataset']
  assert record.resolve(3) == ['span2-statistics', 'span2-dataset']
  assert record.resolve(1) == []


def test_of_several_runs_over_a_span_the_last(record):
  record.passed(1, 'first')
  record.passed(1, 'second')
  assert record.resolve(2) == ['second-statistics', 'second-dataset']


def test_a_span_that_was_stopped_is_no_measure(record):
  record.passed(1, 'good')
  record.stopped('bad')
  assert record.resolve(3) == ['good-statistics', 'good-dataset']


def test_files_that_are_gone_and_reports_without_a_span_are_passed_over(record, caplog):
  record.passed(1, 'kept')
  record.passed(2, 'removed', there=False)
  record.passed(0, 'old', marked=False)
  assert record.resolve(3) == ['kept-statistics', 'kept-dataset']
  assert 'are gone' in caplog.text


def test_without_any_earlier_span(record):
  assert record.resolve(0) == []
