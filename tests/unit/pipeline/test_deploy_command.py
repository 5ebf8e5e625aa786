"""What `sightline deploy` prints, and how it ends."""

import pytest
import typer
from typer.testing import CliRunner

from pipeline import __main__, deploy_command, lineage
from serving import log_files, request_record
from tests.unit.serving import exports, logs


def write_log(folder, labels, **arguments):
  files = log_files.LogFiles(folder, 1 << 20, 1 << 24, 1e6, 1e6)
  made = logs.asked([exports.encoded(0)] * len(labels), labels, **arguments)
  files.write(request_record.complete(made, 'id', 1000.0, 1.0, False).SerializeToString())
  files.complete()
  return folder


@pytest.fixture
def experiment(tmp_path):
  path = tmp_path / 'fruit.yaml'
  path.write_text('name: fruit\nrun: {root: root}\n')
  return path


def test_a_class_that_drifts_is_named_and_the_exit_code_says_so(tmp_path, capfd, monkeypatch):
  monkeypatch.setenv('COLUMNS', '200')
  before = write_log(tmp_path / 'before', ['apple'] * 30 + ['pear'] * 70)
  after = write_log(tmp_path / 'after', ['apple'] * 80 + ['pear'] * 20, version=8)
  with pytest.raises(typer.Exit) as ended:
    deploy_command.drift(before, after)
  assert ended.value.exit_code == 3
  lines = capfd.readouterr().out.splitlines()
  assert lines[0] == '100 images before, 100 after'
  assert lines[1].startswith('answered by other versions: 7 and 8')
  assert lines[2].startswith('changed  apple: 30.0% -> 80.0% (p ')
  assert lines[4].startswith('ok       probability: median 0.500 -> 0.500, distance 0.00')


def test_the_same_traffic_is_no_drift(tmp_path, capfd):
  folder = write_log(tmp_path, ['apple'] * 30 + ['pear'] * 70)
  with pytest.raises(typer.Exit) as ended:
    deploy_command.drift(folder, folder)
  assert ended.value.exit_code == 0
  assert 'changed' not in capfd.readouterr().out


def test_status_of_an_experiment_without_a_version(experiment, capfd):
  deploy_command.status(experiment, [])
  out = capfd.readouterr().out
  assert 'models.config (not there yet: the newest version is served)' in out
  assert 'no version is published' in out


def test_status_tells_a_version_that_nobody_recorded(experiment, capfd):
  folder = experiment.parent / 'root/serving/fruit/100'
  (folder / 'variables').mkdir(parents=True)
  (folder / 'saved_model.pb').write_bytes(b'')
  deploy_command.status(experiment, [])
  lines = capfd.readouterr().out.splitlines()
  assert lines[1:] == ['100', '  published not in the record', '  weights cannot be read']
  assert not (experiment.parent / 'root' / lineage.DATABASE).exists()


@pytest.mark.parametrize(
  ('words', 'text'),
  [
    (['promote', '100'], 'expected --server ADDRESS'),
    (['rollback'], 'expected --server ADDRESS'),
    (['rollback', '--offline', '--server', 'a:1'], 'expected --server ADDRESS'),
    (['canary', '--offline'], 'expected either VERSION or --remove'),
    (['canary', '100', '--remove', '--offline'], 'expected either VERSION or --remove'),
  ],
)
def test_words_that_say_too_little_or_too_much_are_refused(experiment, words, text):
  action, *rest = words
  done = CliRunner().invoke(
    __main__.app, ['deploy', action, str(experiment), *rest], env={'COLUMNS': '200'}
  )
  assert done.exit_code == 2
  assert text in done.output


def test_a_replay_writes_its_page_and_says_what_flips(experiment, tmp_path, capfd):
  exports.write_image_model(tmp_path / 'root/serving/fruit/100', seed=1)
  images = [exports.encoded(seed) for seed in range(3)]
  log = logs.asked(images, ['plum'] * 3)
  files = log_files.LogFiles(tmp_path / 'root/requests', 1 << 20, 1 << 24, 1e6, 1e6)
  files.write(request_record.complete(log, 'id', 1000.0, 1.0, True).SerializeToString())
  files.complete()
  with pytest.raises(typer.Exit) as ended:
    deploy_command.shadow_(experiment, '100', None, None, None)
  assert ended.value.exit_code == 0
  lines = capfd.readouterr().out.splitlines()
  assert lines[0] == (
    'version 100 against what 7 answered: 3 of 3 pictures flip, 100.0% '
    '(95 % interval 43.9% to 100.0%)'
  )
  assert lines[1] == '  plum: 3 of 3'
  page = tmp_path / 'root/shadow-100.html'
  assert lines[-1] == f'page       {page}' and page.is_file()
