"""The schema file as TFX's own runner and cache see it."""

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner

from components.import_schema_gen.component import ImportSchemaGen
from schemas.errors import ConfigError

CACHED = metadata_store_pb2.Execution.CACHED
COMPLETE = metadata_store_pb2.Execution.COMPLETE
SCHEMA = 'feature { name: "label" type: BYTES string_domain { value: "cat" } }\n'


@pytest.fixture
def launch(tmp_path):
  """Returns launch(file): runs the component; the state of its execution and its schemas."""
  store = metadata.sqlite_metadata_connection_config(str(tmp_path / 'metadata.sqlite'))

  def launch(file):
    importer = ImportSchemaGen(schema_file=str(file))
    assert importer.id == 'ImportSchemaGen'
    local_dag_runner.LocalDagRunner().run(
      pipeline.Pipeline(
        'test',
        str(tmp_path / 'artifacts'),
        components=[importer],
        enable_cache=True,
        metadata_connection_config=store,
      )
    )
    with metadata.Metadata(store) as handle:
      state = max(handle.store.get_executions(), key=lambda one: one.id).last_known_state
    return state, {path.read_text() for path in tmp_path.glob('artifacts/*/schema/*/schema.pbtxt')}

  return launch


def test_an_edited_schema_is_imported_and_an_unchanged_one_is_cached(tmp_path, launch):
  file = tmp_path / 'schema.pbtxt'
  file.write_text(SCHEMA)
  assert launch(file) == (COMPLETE, {SCHEMA})
  assert launch(file) == (CACHED, {SCHEMA})
  # A comment changes no rule, and need not train anew.
  file.write_text('# ours\n' + SCHEMA)
  assert launch(file) == (CACHED, {SCHEMA})
  edited = SCHEMA.replace('"cat"', '"cat" value: "dog"')
  file.write_text(edited)
  assert launch(file) == (COMPLETE, {SCHEMA, edited})
  assert launch(file)[0] == CACHED


@pytest.mark.parametrize('content', [None, b'featur { }', b'feature { name: "\xff" }'])
def test_a_file_that_is_no_schema_is_refused_by_name_before_anything_runs(tmp_path, content):
  file = tmp_path / 'mine.pbtxt'
  if content is not None:
    file.write_bytes(content)
  with pytest.raises(ConfigError, match=r'data\.schema: expected.*mine\.pbtxt'):
    ImportSchemaGen(schema_file=str(file))
