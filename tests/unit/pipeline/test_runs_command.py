"""`sightline runs report`, from the command line to the file."""

import pytest
import typer.testing

from pipeline import __main__, runs_command
from schemas.errors import ConfigError
from tests.unit.pipeline.report import recorded


@pytest.fixture
def report(tmp_path, monkeypatch):
  recorded.write(tmp_path / 'runs/plums')
  monkeypatch.chdir(tmp_path)

  def call(*words):
    done = typer.testing.CliRunner().invoke(__main__.app, ['runs', 'report', *words])
    return done.exit_code, done.output

  return call


def test_the_latest_run_gets_its_page_into_its_folder(report, tmp_path):
  code, text = report()
  path = tmp_path / 'runs/plums' / recorded.RUN / 'report.html'
  assert code == 0 and text == f'plums, run {recorded.RUN}: published\nreport     {path}\n'
  assert path.read_text().endswith('</html>')


def test_another_file_and_another_folder_of_runs(report, tmp_path):
  code, text = report(
    recorded.RUN, '--output', 'new/a page.html', '--runs', str(tmp_path / 'runs/plums')
  )
  assert code == 0 and str(tmp_path / 'new/a page.html') in text
  assert (tmp_path / 'new/a page.html').is_file()
  assert not (tmp_path / 'runs/plums' / recorded.RUN / 'report.html').exists()


def test_open_shows_that_very_file(report, tmp_path, monkeypatch):
  opened = []
  monkeypatch.setattr(runs_command.webbrowser, 'open', opened.append)
  assert report('--output', 'a.html')[0] == 0 and opened == []
  assert report('--output', 'a.html', '--open')[0] == 0
  assert opened == [(tmp_path / 'a.html').as_uri()]


def test_a_file_that_cannot_be_written_is_named(report, tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(ConfigError, match=r'--output: expected a file.*file/a\.html'):
    runs_command.report(tmp_path / 'runs', None, tmp_path / 'file/a.html', False)
