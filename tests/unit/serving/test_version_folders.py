import pytest

from serving import version_folders


@pytest.fixture
def models(tmp_path):
  (tmp_path / 'digits/7').mkdir(parents=True)
  (tmp_path / 'digits/7/saved_model.pb').touch()
  (tmp_path / 'empty').mkdir()
  return tmp_path


def test_who_names_a_folder_too_low_or_too_high_is_led_to_the_right_one(models):
  assert version_folders.next_step(models / 'digits/7') == (
    f'This folder is a version itself: name the one above it, {models}/digits'
  )
  assert version_folders.next_step(models) == (
    f'There are versions one folder below: name {models}/digits'
  )


@pytest.mark.parametrize('name', ['empty', 'absent'])
def test_where_there_is_nothing_a_run_publishes(models, name):
  assert version_folders.next_step(models / name).endswith('sightline run CONFIG')
