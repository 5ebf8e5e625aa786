"""`sightline data audit` over real files: what it prints, writes, and leaves alone."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline import __main__ as command_line
from pipeline import audit_command
from schemas.errors import ConfigError, DataError

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path):
  """Forty noisy images in two classes; labels.csv puts a copy of a train image into test."""
  folder = tmp_path / 'photos'
  (folder / 'images').mkdir(parents=True)
  rows = []
  for number in range(40):
    pixels = np.random.default_rng(number).integers(0, 200, (70, 90, 3), dtype=np.uint8)
    pixels[..., number % 2] += 50
    name = f'{number:02d}.png'
    Image.fromarray(pixels).save(folder / 'images' / name)
    split = ('train', 'train', 'train', 'val', 'test')[number // 2 % 5]
    rows.append({'filename': name, 'label': ('fig', 'pear')[number % 2], 'split': split})
  with open(folder / 'labels.csv', 'w', newline='') as stream:
    writer = csv.DictWriter(stream, rows[0])
    writer.writeheader()
    writer.writerows(rows)
  return folder


def _plant_a_leak(root):
  # 00 is in train, 08 in test.
  with Image.open(root / 'images/00.png') as image:
    image.save(root / 'images/08.png', compress_level=1)


def _files(root):
  return {path: path.read_bytes() for path in root.rglob('*') if path.is_file()}


def _run(*arguments):
  return CliRunner().invoke(command_line.app, ['data', 'audit', *map(str, arguments)])


def test_clean_data_is_shown_and_left_alone(root, tmp_path, capfd):
  before = _files(root)
  assert audit_command.run(None, root, tmp_path / 'out') == 0
  printed = capfd.readouterr().out
  assert f'page       {tmp_path / "out/audit.html"}' in printed
  assert '40 images of 2 classes, 0 rows not used' in printed
  assert '40 images; below 1000' in printed
  assert 'WOULD STOP' not in printed
  assert _files(root) == before
  assert {path.name for path in (tmp_path / 'out').iterdir()} == {
    'audit.html',
    'audit.json',
    'findings.csv',
    'quarantine.csv',
    'suspects.csv',
  }
  assert {path.name for path in tmp_path.iterdir()} == {'photos', 'out'}


def test_what_would_stop_a_run_is_said_and_the_code_is_3(root, tmp_path, capfd):
  _plant_a_leak(root)
  config = tmp_path / 'fruit.yaml'
  config.write_text('name: fruit\ndata: {root: photos}\n')
  assert audit_command.run(config, None, tmp_path / 'out') == audit_command.WOULD_STOP == 3
  printed = capfd.readouterr().out
  (line,) = [line for line in printed.splitlines() if line.startswith('WOULD STOP')]
  assert '00.png' in printed and '08.png' in printed and line
  summary = json.loads((tmp_path / 'out/audit.json').read_text())
  assert summary['would_stop'] and summary['findings']['leak'] >= 1
  page = (tmp_path / 'out/audit.html').read_text()
  assert 'This data would stop a run' in page
  assert 'first of a leak' in page
  assert not (root / 'splits.lock.csv').exists()


def test_every_row_that_is_not_used_is_in_a_file_that_is_still_there(root, tmp_path, capfd):
  names = [f'{number:02d}.png' for number in range(30)]
  for name in names:
    (root / 'images' / name).write_bytes(b'no image')
  assert audit_command.run(None, root, tmp_path / 'out') == audit_command.WOULD_STOP
  printed = capfd.readouterr().out
  rows = tmp_path / 'out/quarantine.csv'
  assert f'not used   {rows}' in printed and 'All of them: quarantine.csv.' in printed
  with open(rows, encoding='utf-8', newline='') as stream:
    assert [row['filename'] for row in csv.DictReader(stream)] == names
  for text in (printed, *(path.read_text() for path in (tmp_path / 'out').iterdir())):
    assert 'sightline-audit-' not in text


def test_where_it_writes_and_what_it_reads_must_make_sense(root, tmp_path):
  with pytest.raises(ConfigError, match='outside the data'):
    audit_command.run(None, root, root / 'images' / 'audit')
  assert not (root / 'images/audit').exists()
  with pytest.raises(ConfigError, match='Received: neither'):
    audit_command.run(None, None, tmp_path / 'out')
  (tmp_path / 'file').write_text('')
  with pytest.raises(ConfigError, match='expected a folder that can be written'):
    audit_command.run(None, root, tmp_path / 'file')
  with pytest.raises(DataError, match='expected a folder'):
    audit_command.run(None, tmp_path / 'nowhere', tmp_path / 'out')
  assert list((tmp_path / 'out').iterdir()) == []


def test_help_says_what_the_exit_codes_mean():
  text = ' '.join(_run('--help').output.split())
  assert 'Exit code 0' in text and '3:' in text
