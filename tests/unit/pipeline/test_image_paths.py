import os
import pathlib

import pytest

from pipeline import image_paths


@pytest.fixture
def folder(tmp_path):
  for name in (
    'b.JPG',
    'a.png',
    'labels.csv',
    '.hidden.png',
    'deep/er/c.webp',
    'deep/d.heic',
    '.thumbnails/e.png',
  ):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  return tmp_path


def test_a_folder_is_searched_for_images_to_the_bottom(folder):
  found = image_paths.find([folder])
  names = [str(path.relative_to(folder)) for path in found.files]
  assert names == ['a.png', 'b.JPG', 'deep/d.heic', 'deep/er/c.webp']
  assert found.passed_over == 1


def test_a_file_that_is_named_counts_whatever_its_name(folder):
  named = [folder / 'labels.csv', folder / 'absent', folder / 'deep']
  found = image_paths.find(named)
  assert found.files[:2] == (folder / 'labels.csv', folder / 'absent')
  assert len(found.files) == 4
  assert found.passed_over == 0


def test_a_folder_that_cannot_be_listed_is_among_the_files(folder, monkeypatch):
  listed = os.scandir

  def scandir(path):
    if pathlib.Path(path).name == 'er':
      raise PermissionError(13, 'Permission denied', os.fspath(path))
    return listed(path)

  # Permissions would not stop whoever runs the tests as root.
  monkeypatch.setattr(os, 'scandir', scandir)
  found = image_paths.find([folder])
  assert found.files[-1] == folder / 'deep/er'
  assert folder / 'a.png' in found.files
