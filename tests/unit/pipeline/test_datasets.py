import re

import pytest

from pipeline import datasets
from schemas.errors import DataError


def test_an_unknown_name_names_the_known_ones(tmp_path):
  with pytest.raises(DataError, match=r'one of digits, flowers\. Received: tulips\.'):
    datasets.write('tulips', tmp_path / 'tulips')


def test_a_name_finds_its_writer(tmp_path):
  datasets.write('digits', tmp_path / 'numbers')
  assert (tmp_path / 'numbers' / 'labels.csv').is_file()


def test_flowers_are_pinned():
  flowers = datasets.FLOWERS
  assert flowers.url.startswith('https://')
  assert re.fullmatch('[0-9a-f]{64}', flowers.sha256)
  assert sum(flowers.classes.values()) == 3670


def test_only_a_known_folder_has_a_hint(tmp_path):
  assert datasets.hint(tmp_path / 'mine') == ''
  assert f'sightline data get flowers --output {tmp_path}/flowers' in datasets.hint(
    tmp_path / 'flowers'
  )
