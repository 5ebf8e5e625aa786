"""What model.weights names is found where its own file says, and nowhere else."""

import hashlib
import json

import pytest

from models import bundled_weights
from pipeline import weights
from schemas.errors import WeightsError
from schemas.loader import build_config


def config(root, wanted):
  return build_config({'name': 'x', 'run': {'root': str(root)}, 'model': {'weights': wanted}}, 'x')


@pytest.mark.parametrize('word', ['auto', 'imagenet', 'bundled', 'none'])
def test_a_word_stays_a_word(tmp_path, word):
  assert weights.resolve(config(tmp_path, word)) == word


def test_a_file_and_one_that_is_not_there(tmp_path):
  path = tmp_path / 'a.weights.h5'
  with pytest.raises(WeightsError, match=f'{path}, which does not exist'):
    weights.resolve(config(tmp_path, str(path)))
  path.write_text('weights')
  assert weights.resolve(config(tmp_path, str(path))) == str(path)


def test_a_run_id_is_a_run_and_never_a_file_of_that_name_in_the_working_directory(
  tmp_path, monkeypatch
):
  (tmp_path / '20260102-030405').write_text('something else')
  monkeypatch.chdir(tmp_path)
  root = tmp_path / 'runs/x'
  with pytest.raises(WeightsError, match='sightline runs list'):
    weights.resolve(config(root, '20260102-030405'))
  saved = tmp_path / 'backbone.weights.h5'
  saved.write_text('weights')
  (root / '20260102-030405').mkdir(parents=True)
  (root / '20260102-030405/summary.json').write_text(json.dumps({'backbone_weights': str(saved)}))
  assert weights.resolve(config(root, '20260102-030405')) == str(saved)


def test_the_hash_is_that_of_the_file_which_a_word_may_lead_to(tmp_path, monkeypatch):
  monkeypatch.setattr(bundled_weights, 'FOLDER', tmp_path)
  given = config(tmp_path, 'bundled')
  assert [weights.sha256(given, word) for word in ('auto', 'bundled', 'none')] == ['', '', '']
  path = tmp_path / 'efficientnet_b0.weights.h5'
  path.write_text('weights')
  digest = hashlib.sha256(b'weights').hexdigest()
  card = {'sha256': digest, 'licence': 'x', 'trained_on': 'y', 'frozen_stage': True}
  (tmp_path / 'efficientnet_b0.json').write_text(json.dumps(card))
  found = [weights.sha256(given, word) for word in ('auto', 'bundled', 'imagenet', str(path))]
  assert found == [digest, digest, '', digest]
