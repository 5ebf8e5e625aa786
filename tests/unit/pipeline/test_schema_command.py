"""`sightline data schema` on real images, through the command line's own parser."""

import csv

import numpy as np
import pytest
import tensorflow_data_validation as tfdv
from PIL import Image
from typer.testing import CliRunner

from pipeline import schema_command
from pipeline.__main__ import app
from schemas.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path):
  """Returns write(rows): labels.csv and an image for each (filename, label, site)."""
  root = tmp_path / 'data'

  def write(rows):
    (root / 'images').mkdir(parents=True, exist_ok=True)
    with open(root / 'labels.csv', 'w', newline='') as stream:
      csv.writer(stream).writerows([('filename', 'label', 'site'), *rows])
    for filename, _, _ in rows:
      path = root / 'images' / filename
      if not path.exists():
        seed = int(path.stem)
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50 + seed, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return root

  return write


@pytest.fixture
def rows():
  return [(f'{n}.png', ('cat', 'dog')[n % 2], ('north', 'south')[n % 2]) for n in range(20)]


@pytest.fixture
def config(tmp_path, write, rows):
  write(rows)
  path = tmp_path / 'pets.yaml'
  path.write_text('name: pets\ndata: {root: data, schema: schema.pbtxt}\n')
  return path


def sightline(*words):
  result = CliRunner().invoke(app, ['data', 'schema', *map(str, words)])
  if result.exception and not isinstance(result.exception, SystemExit):
    raise result.exception
  return result.exit_code, result.output


def test_the_life_of_a_schema(config, write, rows, tmp_path):
  schema = tmp_path / 'schema.pbtxt'
  code, output = sightline('infer', config)
  assert (code, f'wrote {schema}: ' in output) == (0, True)
  # Nothing is left behind beside the data.
  assert sorted(path.name for path in (tmp_path / 'data').iterdir()) == ['images', 'labels.csv']
  assert not (tmp_path / 'runs').exists()
  assert sightline('diff', config)[0] == 0
  with pytest.raises(ConfigError, match='Received: one that is'):
    sightline('infer', config)

  text = schema.read_text().replace(
    'feature {\n  name: "label"', '# Pets.\nfeature {\n  name: "label"'
  )
  schema.write_text(text)
  write([*rows, ('20.png', 'eel', 'south'), ('21.png', 'eel', 'south'), ('22.png', 'eel', '')])
  code, output = sightline('diff', config)
  assert code == schema_command.EXIT_DIFFERENT
  # Which split each came into is the split's own business.
  for name in ('20.png', '21.png', '22.png'):
    assert name in output
  assert "feature label: expected one of 'cat', 'dog'. Received: 'eel' in " in output
  assert "  label: also 'eel'" in output

  code, output = sightline('accept', config, 'label')
  assert (code, "  label: also 'eel'" in output) == (0, True)
  assert schema.read_text().startswith(text[: text.index('feature {')])
  assert '# Pets.' in schema.read_text()
  [label] = [f for f in tfdv.load_schema_text(str(schema)).feature if f.name == 'label']
  assert list(label.string_domain.value) == ['cat', 'dog', 'eel']
  assert sightline('diff', config)[0] == 0
  code, output = sightline('accept', config)
  assert 'nothing to take over' in output

  code, output = sightline('infer', '--data-root', tmp_path / 'data', '--output', schema, '--force')
  assert code == 0
  assert '# Pets.' not in schema.read_text()


def test_what_cannot_be_done_says_what_to_do(config, tmp_path):
  with pytest.raises(ConfigError, match='No such file.*sightline data schema infer'):
    sightline('diff', config)
  with pytest.raises(ConfigError, match='Received: neither --output nor data.schema'):
    sightline('infer', '--data-root', tmp_path / 'data')
  with pytest.raises(ConfigError, match='Received: both'):
    sightline('infer', config, '--data-root', tmp_path / 'data')
  with pytest.raises(ConfigError, match='Received: none, so that each run infers one'):
    sightline('diff', config, '--set', 'data.schema=null')
  (tmp_path / 'schema.pbtxt').write_text('feature {')
  with pytest.raises(ConfigError, match='expected a TFDV schema as text'):
    sightline('accept', config)
  (tmp_path / 'schema.pbtxt').write_text('feature { name: "label" type: BYTES }')
  with pytest.raises(ConfigError, match='Received: lable'):
    sightline('accept', config, 'lable')
  with pytest.raises(DataError, match='data.root'):
    sightline('diff', config, '--set', f'data.root={tmp_path / "nowhere"}')
