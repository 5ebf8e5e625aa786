import unicodedata

import pytest

from components.image_example_gen import location, manifest
from schemas.config import DataConfig

NAMES = (
  'with space.png',
  'comma, and "quotes".png',
  'two\nlines.png',
  '-rf.png',
  '--help.png',
  '名前.png',
  'folder name/ü.png',
  '%s{0}$HOME`id`.png',
  'a..b.png',
  '...png',
)


@pytest.fixture
def opened(tmp_path):
  (tmp_path / 'images').mkdir()
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  return manifest.open_manifest(DataConfig(root=tmp_path))


@pytest.mark.parametrize('name', NAMES)
def test_a_strange_name_is_a_name(opened, name):
  path = opened.images / name
  path.parent.mkdir(exist_ok=True)
  path.touch()
  assert opened.locate(name) == path


@pytest.mark.parametrize(('written', 'stored'), [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_a_name_finds_the_file_that_writes_its_letters_otherwise(opened, written, stored):
  names = {form: unicodedata.normalize(form, 'Åpfel/é.png') for form in ('NFC', 'NFD')}
  assert names['NFC'] != names['NFD']
  path = opened.images / names[stored]
  path.parent.mkdir()
  path.touch()
  assert opened.locate(names[written]) == path
  # As it is written goes first.
  other = opened.images / names[written]
  other.parent.mkdir()
  other.touch()
  assert opened.locate(names[written]) == other


def test_no_form_of_a_name_leads_out_of_the_root(opened, tmp_path):
  outside = tmp_path.parent / f'{tmp_path.name}-outside.png'
  outside.touch()
  (opened.images / unicodedata.normalize('NFD', 'ü.png')).symlink_to(outside)
  with pytest.raises(location.FileError) as error:
    opened.locate('ü.png')
  assert error.value.reason == location.OUTSIDE_ROOT


def test_a_link_to_itself_is_no_file(opened):
  (opened.images / 'loop.png').symlink_to(opened.images / 'loop.png')
  with pytest.raises(location.FileError) as error:
    opened.locate('loop.png')
  assert error.value.reason == location.MISSING_FILE
