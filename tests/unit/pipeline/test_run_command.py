"""What `sightline run` prints and records after the pipeline itself."""

import io
import json
import pathlib
import time

import pytest
from rich.console import Console

from pipeline import answer_process, display, run_command, summary
from schemas.errors import DataError, ServingError
from schemas.loader import build_config

FLOWERS = pathlib.Path(run_command.__file__).parent / 'configs' / 'flowers.yaml'


@pytest.fixture
def config(tmp_path):
  root = tmp_path / 'with [brackets] and :cat: here'
  (root / 'photos').mkdir(parents=True)
  return build_config(
    {
      'name': 'tiny',
      'data': {'root': str(root / 'photos')},
      'run': {'root': str(tmp_path / 'a :cat: run')},
      'publish': {'directory': str(root / 'serving')},
    },
    'test',
  )


@pytest.fixture
def call(config, monkeypatch):
  """Runs the command around a pipeline that does nothing, and returns code, text, summary."""

  def run(answer):
    stream = io.StringIO()
    monkeypatch.setattr(run_command.library_output, 'terminal', lambda: stream)
    monkeypatch.setattr(run_command, '_config', lambda *_: config)
    monkeypatch.setattr(run_command, '_run', lambda *_: None)
    collected = summary.collect
    monkeypatch.setattr(
      run_command.summary,
      'collect',
      lambda config, run: (
        collected(config, run)
        | {
          'outcome': summary.PUBLISHED,
          'published': {
            'version': '5',
            'directory': f'{config.publish.directory}/tiny/5',
            'new': True,
          },
        }
      ),
    )
    monkeypatch.setattr(answer_process, 'ask', answer)
    try:
      code = run_command.run(None, None, (), ask=True, goal='to  see [it] ')
    except KeyboardInterrupt:
      code = None
    (path,) = config.run.root.glob('*/summary.json')
    return code, stream.getvalue(), json.loads(path.read_text())

  return run


def test_an_answer_is_printed_recorded_and_0(call):
  code, text, found = call(
    lambda *_: {
      'label': 'red',
      'probability': 0.75,
      'file': '/my [photos]/1 a.png',
      'expected': 'red',
      'model_version': '5',
    }
  )
  assert code == 0 and found['answer']['label'] == 'red' and found['answer_error'] is None
  assert 'red (0.7500) for /my [photos]/1 a.png' in text
  assert "sightline predict --model tiny '/my [photos]/1 a.png'" in text


def test_paths_are_printed_as_they_are(call, config):
  _, text, found = call(lambda *_: None)
  root, serving = str(config.run.root), f'{config.publish.directory}/tiny'
  assert '[brackets] and :cat: here' in serving and ':cat:' in root
  assert f'summary    {root}/{found["run_id"]}/summary.json' in text
  assert f'library logs: {found["paths"]["log"]}' in text
  assert f'model      {serving}/5' in text
  assert f"sightline serve --directory '{serving}'" in text


def test_a_model_that_does_not_answer_stays_published_and_is_code_1(call):
  def fails(*_):
    raise ServingError('it is mute; see /the/log')

  code, text, found = call(fails)
  assert code == 1
  assert found['outcome'] == 'published' and found['published']['version'] == '5'
  assert found['answer'] is None and found['answer_error'] == 'it is mute; see /the/log'
  assert 'NO ANSWER  it is mute; see /the/log' in text


def test_an_interrupt_while_it_is_asked_leaves_the_summary_of_what_is_published(call):
  def interrupted(*_):
    raise KeyboardInterrupt

  code, text, found = call(interrupted)
  assert code is None  # the entry point turns it into 130
  assert found['outcome'] == 'published' and 'Interrupted' in found['answer_error']
  assert 'the model is published' in text


def test_the_summary_is_written_before_the_model_is_asked(call, config):
  seen = []

  def ask(*_):
    seen.extend(config.run.root.glob('*/summary.json'))

  call(ask)
  assert len(seen) == 1


def test_the_goal_and_what_it_takes_to_repeat_the_run_are_recorded(call, config, monkeypatch):
  monkeypatch.setattr(run_command.sys, 'argv', ['sightline', 'run', 'my file.yaml'])
  _, text, found = call(lambda *_: None)
  assert found['goal'] == 'to see [it]'
  assert 'goal       to see [it]' in text
  (path,) = config.run.root.glob('*/provenance.json')
  whole = json.loads(path.read_text())
  assert whole['command'] == ['sightline', 'run', 'my file.yaml']
  assert whole['config']['name'] == 'tiny'
  assert found['provenance'] == {
    name: part for name, part in whole.items() if name not in ('packages', 'config')
  }


def test_a_run_that_is_killed_has_its_provenance(config, monkeypatch):
  def killed(*_):
    raise SystemExit

  monkeypatch.setattr(run_command, '_config', lambda *_: config)
  monkeypatch.setattr(run_command, '_run', killed)
  with pytest.raises(SystemExit):
    run_command.run(None, None, (), ask=True)
  (folder,) = (path for path in config.run.root.iterdir() if path.name.startswith('20'))
  assert [path.name for path in folder.iterdir()] == ['provenance.json']


@pytest.mark.parametrize(
  'outcome, error, code',
  [
    (summary.PUBLISHED, None, 0),
    (summary.UNCHANGED, None, 0),
    (summary.PUBLISHED, 'mute', 1),
    (summary.STOPPED, None, 1),
    (summary.NOT_BLESSED, None, 3),
    (summary.NOT_SERVABLE, None, 3),
    (summary.INTERRUPTED, None, 130),
  ],
)
def test_exit_codes(outcome, error, code):
  assert summary.exit_code({'outcome': outcome, 'answer_error': error}) == code


def test_a_wait_without_a_terminal_gives_signs_of_life(monkeypatch):
  monkeypatch.setattr(display, '_SIGN_OF_LIFE', 0.05)
  stream = io.StringIO()
  with display.waiting(Console(file=stream), 'asking [it] ...'):
    time.sleep(0.3)
  first, *beats = stream.getvalue().splitlines()
  assert first == 'asking [it] ...'
  assert len(beats) >= 2 and all(line.startswith('  ... ') for line in beats)
  ended = stream.getvalue()
  time.sleep(0.15)
  assert stream.getvalue() == ended


def test_flowers_that_are_not_there_name_the_command_that_fetches_them(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(
    DataError, match=r'does not exist\. Fetch it first: sightline data get flowers'
  ):
    run_command.run(FLOWERS, None, (), ask=False)
  assert not (tmp_path / 'runs').exists()


def test_every_run_leaves_a_page_in_its_folder(call, config):
  _, text, found = call(lambda *_: None)
  (path,) = config.run.root.glob('*/report.html')
  assert found['paths']['report'] == str(path) and f'report     {path}' in text
  assert 'tiny' in path.read_text() and 'see [it]' in path.read_text()


def test_a_page_that_cannot_be_made_does_not_undo_the_run(call, config, monkeypatch):
  from pipeline.report import page

  def fail(*_):
    raise KeyError('a defect')

  monkeypatch.setattr(page, 'render', fail)
  code, text, found = call(lambda *_: None)
  assert code == 0 and found['paths']['report'] is None and 'report  ' not in text
  (log,) = config.run.root.glob('logs/*.log')
  assert 'a defect' in log.read_text()


@pytest.mark.parametrize(
  ('weights', 'asked'), [('imagenet', 1), ('auto', 0), ('bundled', 0), ('none', 0)]
)
def test_weights_that_are_insisted_on_are_looked_for_before_a_run_begins(
  config, monkeypatch, weights, asked
):
  class BegunError(Exception):
    pass

  def begin(_):
    raise BegunError

  looked_for = []
  model = config.model.model_copy(update={'weights': weights})
  wanted = config.model_copy(update={'model': model})
  monkeypatch.setattr(run_command, '_config', lambda *_: wanted)
  monkeypatch.setattr(run_command.library_output, 'terminal', io.StringIO)
  monkeypatch.setattr(run_command.model_check, 'fetch_imagenet_weights', looked_for.append)
  monkeypatch.setattr(run_command.runner, 'open_run', begin)
  with pytest.raises(BegunError):
    run_command.run(pathlib.Path('tiny.yaml'), None, [], ask=False)
  assert looked_for == [wanted] * asked
