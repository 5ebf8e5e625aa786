import os

import pytest

from components.import_schema_gen import schema_file
from schemas.errors import ConfigError


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
  path = tmp_path / 'schema.pbtxt'
  path.write_text('feature { name: "a" }')
  path.chmod(0o640)
  schema_file.write(path, 'feature { name: "b" }')
  assert path.read_text() == 'feature { name: "b" }'
  assert path.stat().st_mode & 0o777 == 0o640
  assert os.listdir(tmp_path) == ['schema.pbtxt']


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
  (tmp_path / 'other').touch()
  schema_file.write(tmp_path / 'new' / 'schema.pbtxt', '')
  written = tmp_path / 'new' / 'schema.pbtxt'
  assert written.stat().st_mode == (tmp_path / 'other').stat().st_mode


def test_a_folder_in_the_way_is_an_error_that_names_it(tmp_path):
  (tmp_path / 'schema.pbtxt').mkdir()
  with pytest.raises(ConfigError, match='expected a file that can be written'):
    schema_file.write(tmp_path / 'schema.pbtxt', '')
  assert os.listdir(tmp_path) == ['schema.pbtxt']


def test_what_is_no_schema_is_an_error_with_its_line(tmp_path):
  with pytest.raises(ConfigError, match='which at 2:'):
    schema_file.parse('feature {\n  nme: "x"\n}', tmp_path)
  with pytest.raises(ConfigError, match='No such file'):
    schema_file.read_text(tmp_path / 'none.pbtxt')
