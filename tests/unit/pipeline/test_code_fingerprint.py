"""The hash of our own code changes with the code and with nothing else."""

import sys

from pipeline import code_fingerprint


def test_a_changed_line_a_new_file_and_a_rename_change_the_fingerprint(tmp_path, monkeypatch):
  package = tmp_path / 'someones_models'
  package.mkdir()
  (package / '__init__.py').write_text('')
  (package / 'net.py').write_text('x = 1\n')
  monkeypatch.syspath_prepend(tmp_path)
  seen = []

  def look():
    code_fingerprint.fingerprint.cache_clear()
    seen.append(code_fingerprint.fingerprint('someones_models'))

  look()
  look()
  assert seen[0] == seen[1]
  (package / 'net.py').write_text('x = 2\n')
  look()
  (package / 'more.py').write_text('')
  look()
  (package / 'more.py').rename(package / 'most.py')
  look()
  (package / 'page.html.jinja').write_text('a template')
  look()
  (package / 'notes.txt').write_text('nothing that decides')
  look()
  assert seen[-2] == seen[-1]
  assert len(set(seen)) == 5
  assert 'someones_models' not in sys.modules


def test_one_module_can_be_named_alone():
  assert code_fingerprint.fingerprint('models.decoder') != code_fingerprint.fingerprint(
    'models.preprocessing'
  )
