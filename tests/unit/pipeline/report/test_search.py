"""Which run is meant: the latest, one by its id, one by its version."""

import pytest

from pipeline.report import search
from schemas.errors import RunError
from tests.unit.pipeline.report import recorded
from tests.unit.pipeline.run_store import Store


@pytest.fixture
def runs(tmp_path):
  recorded.write(tmp_path / 'plums', run='20260101-120000')
  recorded.write(tmp_path / 'plums', run='20260301-080000')
  recorded.write(tmp_path / 'pears', run='20260201-120000')
  (tmp_path / 'notes').mkdir()
  return tmp_path


def test_the_latest_of_all_experiments_or_of_one(runs):
  assert search.find(runs, None) == (runs / 'plums', '20260301-080000')
  assert search.find(runs / 'pears', None) == (runs / 'pears', '20260201-120000')


def test_a_run_by_its_id_or_the_beginning_of_it(runs):
  assert search.find(runs, '20260201-120000') == (runs / 'pears', '20260201-120000')
  assert search.find(runs, '202602') == (runs / 'pears', '20260201-120000')


def test_runs_of_the_store_count_and_a_version_names_its_run(runs):
  store = Store(runs / 'pears')
  store.whole_run('2026-04-01T08:30:00.123456', 'abc', '17')
  assert search.find(runs, '17') == (runs / 'pears', '2026-04-01T08:30:00.123456')
  assert search.find(runs, None) == (runs / 'pears', '2026-04-01T08:30:00.123456')


def test_what_names_no_run_or_several_is_an_error_that_lists_some(runs):
  with pytest.raises(RunError, match=r'plums/20260301-080000\. Received: 2026, which names 3 runs'):
    search.find(runs, '2026')
  with pytest.raises(RunError, match='Received: 9, which names 0 runs'):
    search.find(runs, '9')


def test_a_folder_without_runs_says_how_to_get_one(tmp_path):
  for folder in (tmp_path, tmp_path / 'nowhere'):
    with pytest.raises(RunError, match=r'Received: none\. Start one with: sightline run CONFIG'):
      search.find(folder, None)
