"""A model leaves its run folder only with a whole model card."""

import pytest

from pipeline import create_pipeline, publication_check
from schemas import loader
from schemas.errors import ConfigError

PROBLEM = {
  'task': 'ripe or not',
  'input': 'a photo of one plum',
  'output': 'a probability',
  'users': 'sorters',
  'out_of_scope': 'other fruit',
  'success': '0.9',
  'harms': 'none known',
  'privacy': 'no people',
}
CARD = {
  'source': 'a field',
  'owner': 'Ada',
  'licence': 'CC0',
  'access': 'all',
  'freshness': 'of 1998',
}


@pytest.fixture
def make(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')

  def build(problem, card, directory=None, engine='local', bucket=None):
    tree = {
      'name': 'x',
      'problem': problem,
      'data': {'root': str(tmp_path), 'card': card},
      'publish': {'directory': directory and str(tmp_path / directory), 'bucket': bucket},
      'run': {'engine': engine},
    }
    return loader.build_config(tree, 'test', working_directory=tmp_path)

  return build


def test_a_draft_stays_in_its_run_folder(make):
  publication_check.check(make({}, {}))
  publication_check.check(make({}, {}, 'runs/x/elsewhere'))
  with pytest.raises(ConfigError) as caught:
    publication_check.check(
      make({**PROBLEM, 'harms': ' '}, {**CARD, 'licence': ''}, 'runs/xx/serving')
    )
  assert str(caught.value).endswith('use the model: problem.harms, data.card.licence.')
  assert 'runs/xx/serving' in str(caught.value)
  publication_check.check(make(PROBLEM, CARD, 'runs/xx/serving'))


def test_a_draft_goes_into_no_bucket(make):
  with pytest.raises(
    ConfigError, match=r'publish\.bucket: .*Received: gs://shop/serving\. .*harms'
  ):
    publication_check.check(make({**PROBLEM, 'harms': ''}, CARD, bucket='gs://shop/serving'))
  publication_check.check(make(PROBLEM, CARD, bucket='gs://shop/serving'))


def test_a_required_field_is_asked_for_wherever_it_is_published(make):
  with pytest.raises(ConfigError, match=r'problem: expected.*nothing for input, users\.'):
    publication_check.check(make({**PROBLEM, 'input': '', 'users': '', 'required': True}, CARD))
  publication_check.check(make({**PROBLEM, 'required': True}, {}))


@pytest.mark.parametrize('engine', ['local', 'vertex', 'kfp'])
@pytest.mark.parametrize(('problem', 'directory'), [({'required': True}, None), ({}, 'elsewhere')])
def test_no_pipeline_is_made_without_the_check(make, engine, problem, directory):
  with pytest.raises(ConfigError, match='problem'):
    create_pipeline.create_pipeline(make(problem, CARD, directory, engine))
