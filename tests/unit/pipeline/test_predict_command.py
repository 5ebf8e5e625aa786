"""`sightline predict` against a server that answers as it is told."""

import csv
import io

import pytest
from typer.testing import CliRunner

from pipeline import __main__ as command_line
from pipeline import predict_command
from schemas.errors import ConfigError, ServingError
from tests.unit.serving import exports
from tests.unit.serving.scripted_server import AVAILABLE, Said, row, running

HEADERS = {'x-model-version': '7', 'x-model-sha256': 'ab'}
READY = Said(200, AVAILABLE)


def answer(**said):
  return Said(200, lambda body: {'predictions': [row() | said for _ in body['instances']]}, HEADERS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('COLUMNS', '200')
  (tmp_path / 'in').mkdir()
  for seed in (1, 2):
    (tmp_path / f'in/{seed} [x].png').write_bytes(exports.encoded(seed))
  return tmp_path


def predict(*arguments):
  return CliRunner().invoke(command_line.app, ['predict', '--model', 'm', *arguments])


@pytest.mark.parametrize(
  ('said', 'headers', 'note'),
  [
    ({'foreign': False}, {}, ''),
    ({'low_confidence': True, 'foreign': False}, {}, 'low confidence'),
    ({'foreign': True}, {}, 'unlike the images of train'),
    ({'low_confidence': True}, {}, 'low confidence, unlike the images of train'),
    ({'foreign': False}, {'x-fallback': 'previous'}, 'answered by the version before'),
    (
      {'foreign': False, 'low_confidence': True, 'class_id': -1},
      {'x-fallback': 'default'},
      'low confidence, stated without the model',
    ),
  ],
)
def test_a_line_says_why_a_person_should_look(folder, said, headers, note):
  reply = Said(200, {'predictions': [row() | said]}, HEADERS | headers)
  with running(READY, reply) as server:
    found = predict('in/1 [x].png', '--url', server.url)
  heading, line = found.stdout.splitlines()
  assert heading.split() == ['file', 'label', 'probability', 'version', 'note']
  probability = '0.0000' if said.get('class_id') else '0.7500'
  assert line.split(maxsplit=5) == ['in/1', '[x].png', 'red', probability, '7'] + (
    [note] if note else []
  )
  assert found.exit_code == 0


def test_a_folder_is_written_as_csv_and_one_bad_file_is_a_row(folder):
  (folder / 'in/3.png').write_text('hello')
  (folder / 'in/notes.txt').write_text('hello')
  with running(READY, answer()) as server:
    found = predict('in', '--url', server.url, '--output', 'out.csv', '--probabilities')
  assert found.exit_code == 1
  with open('out.csv', newline='') as stream:
    first, second, third = csv.DictReader(stream)
  assert first == {
    'file': 'in/1 [x].png',
    'label': 'red',
    'probability': '0.75',
    'class_id': '0',
    'probability_0': '0.75',
    'probability_1': '0.25',
    'low_confidence': 'false',
    'ood_score': '0.5',
    'foreign': 'true',
    'model_version': '7',
    'model_sha256': 'ab',
    'fallback': '',
    'error': '',
  }
  assert second['file'] == 'in/2 [x].png'
  assert (third['label'], third['error'][:13]) == ('', 'not_an_image:')
  summary, failed, wrote = found.stdout.splitlines()
  assert summary == (
    '2 of 3 files answered; 2 unlike the images of train; '
    '1 passed over in folders, no images by their names; version 7'
  )
  assert failed.startswith('no answer: in/3.png: not_an_image')
  assert wrote == 'wrote out.csv'


def test_rows_on_standard_output_stand_alone(folder):
  with running(READY, answer()) as server:
    found = predict('in', '--url', server.url, '--output', '-')
  assert len(list(csv.DictReader(io.StringIO(found.stdout)))) == 2
  assert found.stderr.startswith('2 of 2 files answered')


def test_the_options_reach_the_server(folder):
  # A busy server is not asked again where --retries says 0.
  with running(READY, Said(503, {'error': 'full'})) as server:
    found = predict(
      *('in', '--url', server.url, '--label', 'canary', '--retries', '0'),
      *('--images-per-request', '2', '--concurrency', '1', '--output', 'out.json'),
    )
    (_, status, _), (_, asked, body) = server.asked
  assert (status, asked) == ('/v1/models/m/labels/canary', '/v1/models/m/labels/canary:predict')
  assert len(body['instances']) == 2
  assert found.exit_code == 1
  assert 'HTTP 503: full Tries: 1.' in found.stdout


def test_a_long_list_of_failures_is_told_in_part(folder):
  for index in range(12):
    (folder / f'in/bad{index:02}.png').touch()
  with running(READY, answer()) as server:
    found = predict('in', '--url', server.url)
  assert found.stdout.count('no answer: in/bad') == 10
  assert found.stdout.splitlines()[-1] == 'and 2 more; --output FILE has them all'


def test_nothing_is_sent_or_written_where_the_server_cannot_be_asked(folder):
  with running(Said(404, {'error': 'Could not find any versions of model m'})) as server:
    found = predict('in', '--url', server.url, '--output', 'out.csv')
    assert len(server.asked) == 1
  assert isinstance(found.exception, ServingError)
  assert not (folder / 'out.csv').exists()


@pytest.mark.parametrize(
  ('arguments', 'told'),
  [
    (['in', '--output', 'a.txt'], 'ends in .csv or .json'),
    (['in', '--probabilities'], '--output with --probabilities'),
    (['in', '--version', '1', '--label', 'stable'], 'a version or a label'),
    (['in', '--url', 'localhost:8501'], 'http://127.0.0.1:8501'),
    (['in', '--key', 'key.pem'], '--certificate and --key together. Received: no certificate'),
    (['none'], 'none: expected images. Received: no file that ends in one of .avif'),
  ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_asked(folder, arguments, told):
  (folder / 'none').mkdir()
  found = predict(*arguments)
  assert isinstance(found.exception, ConfigError)
  assert told in str(found.exception)


def test_a_bar_is_shown_on_a_terminal_alone(folder, monkeypatch, capsys):
  assert list(predict_command._with_bar([1, 2], 2)) == [1, 2]
  assert capsys.readouterr() == ('', '')
  monkeypatch.setenv('FORCE_COLOR', '1')
  assert list(predict_command._with_bar([1, 2], 2)) == [1, 2]
  out, err = capsys.readouterr()
  assert out == ''
  assert '2/2' in err
