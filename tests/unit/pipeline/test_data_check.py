"""The card and the slice columns, before anything runs."""

import pytest

from pipeline import create_pipeline, data_check
from schemas import loader
from schemas.config import DataConfig
from schemas.errors import ConfigError, DataError

CARD = {'source': 'a field', 'owner': 'Ada', 'licence': 'CC0', 'access': 'all'}


@pytest.fixture
def root(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label,site,device\n')
  return tmp_path


def test_a_required_card_is_whole(root):
  with pytest.raises(ConfigError, match=r'data\.card: expected.*nothing for freshness\.'):
    data_check.check(DataConfig(root=root, card={**CARD, 'required': True}))
  data_check.check(DataConfig(root=root, card=CARD))
  data_check.check(DataConfig(root=root, card={**CARD, 'freshness': 'of 1998', 'required': True}))


def test_a_slice_column_is_one_of_the_manifest(root):
  with pytest.raises(DataError, match="columns of labels.csv: site, device. Received: 'sight'"):
    data_check.check(DataConfig(root=root, slice_columns=('site', 'sight')))
  data_check.check(DataConfig(root=root, slice_columns=('site', 'device')))


def test_data_that_lie_elsewhere_are_not_looked_at(tmp_path):
  data_check.check(DataConfig(root=tmp_path / 'nowhere', slice_columns=('site',)))


@pytest.mark.parametrize('engine', ['local', 'vertex', 'kfp'])
@pytest.mark.parametrize(
  ('data', 'error'),
  [
    ({'slice_columns': ['sight']}, DataError),
    ({'card': {**CARD, 'required': True}}, ConfigError),
  ],
)
def test_no_pipeline_is_made_without_the_check(root, engine, data, error):
  config = loader.build_config(
    {'name': 'x', 'data': {'root': str(root), **data}, 'run': {'engine': engine}},
    'test',
    working_directory=root,
  )
  with pytest.raises(error):
    create_pipeline.create_pipeline(config)
