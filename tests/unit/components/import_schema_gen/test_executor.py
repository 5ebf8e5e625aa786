"""A schema that comes as text: the file is on another machine."""

import pytest
from tfx.types import standard_artifacts

from components.import_schema_gen import executor
from components.import_schema_gen.component import ImportSchemaGen

SCHEMA = '# ours\nfeature { name: "label" type: BYTES }\n'


@pytest.mark.parametrize('carried', [True, False])
def test_the_text_comes_from_the_parameter_or_the_file(tmp_path, carried):
  file = tmp_path / 'mine.pbtxt'
  file.write_text(SCHEMA)
  made = ImportSchemaGen(str(file), carry_text=carried)
  if carried:
    file.unlink()
  schema = standard_artifacts.Schema()
  schema.uri = str(tmp_path / 'artifact')
  (tmp_path / 'artifact').mkdir()
  executor.Executor().Do({}, {'schema': [schema]}, made.exec_properties)
  assert (tmp_path / 'artifact/schema.pbtxt').read_text() == SCHEMA
