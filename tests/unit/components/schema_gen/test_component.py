"""The code fingerprint as TFX's own runner and cache see it."""

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from ml_metadata.proto import metadata_store_pb2
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import standard_artifacts

from components.schema_gen.component import SchemaGen

STATISTICS = """
datasets { num_examples: 4 features { path { step: "label" } type: STRING string_stats {
  common_stats { num_non_missing: 4 min_num_values: 1 max_num_values: 1 avg_num_values: 1 }
  unique: 2 rank_histogram {
    buckets { label: "cat" sample_count: 2 } buckets { label: "dog" sample_count: 2 } } } } }
"""


def test_another_code_runs_it_again(tmp_path):
  (tmp_path / 'statistics/Split-train').mkdir(parents=True)
  (tmp_path / 'statistics/Split-train/FeatureStats.pb').write_bytes(
    text_format.Parse(STATISTICS, statistics_pb2.DatasetFeatureStatisticsList()).SerializeToString()
  )
  store = metadata.sqlite_metadata_connection_config(str(tmp_path / 'metadata.sqlite'))

  def launch(code: str):
    importer = Importer(
      source_uri=str(tmp_path / 'statistics'),
      artifact_type=standard_artifacts.ExampleStatistics,
      properties={'split_names': '["train"]'},
    )
    schema_gen = SchemaGen(
      statistics=importer.outputs['result'], exclude_splits=['val'], code_fingerprint=code
    )
    local_dag_runner.LocalDagRunner().run(
      pipeline.Pipeline(
        'test',
        str(tmp_path / 'artifacts'),
        components=[importer, schema_gen],
        enable_cache=True,
        metadata_connection_config=store,
      )
    )
    with metadata.Metadata(store) as handle:
      return max(handle.store.get_executions(), key=lambda one: one.id).last_known_state

  state = metadata_store_pb2.Execution.State
  assert launch('code') == state.COMPLETE
  assert launch('code') == state.CACHED
  assert launch('other') == state.COMPLETE
  for path in tmp_path.glob('artifacts/SchemaGen/schema/*/schema.pbtxt'):
    [label] = tfdv.load_schema_text(str(path)).feature
    assert list(label.string_domain.value) == ['cat', 'dog']
