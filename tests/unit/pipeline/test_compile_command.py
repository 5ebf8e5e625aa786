"""What `sightline compile` says, and when it hands the file over."""

import pathlib

import pytest
from typer.testing import CliRunner

from pipeline import __main__, compilation, compile_command
from pipeline.kubeflow import submission
from schemas.errors import ConfigError

MADE = compilation.Compiled(
  path=pathlib.Path('/x/tiny.yaml'),
  tasks=('A', 'B'),
  parameters={'epochs': 5, 'serving_directory': None},
  image='sightline:1',
  pipeline_root='gs://bucket/tiny',
  resolvers=(),
)


@pytest.fixture
def sightline(monkeypatch, tmp_path):
  """Returns sightline(*words): output, and (target, arguments) of each submission."""
  config = tmp_path / 'tiny.yaml'
  config.write_text('name: tiny\n')
  sent = []
  monkeypatch.setattr(compilation, 'compile_pipeline', lambda *given: MADE)
  for target in ('vertex', 'kfp'):
    monkeypatch.setattr(
      submission, f'to_{target}', lambda *given, target=target: sent.append((target, given)) or 'r1'
    )

  def call(*words):
    done = CliRunner().invoke(
      __main__.app, ['compile', str(config), '--output', 'x.yaml', *words], catch_exceptions=False
    )
    return done.output, sent

  return call


def test_without_submit_nothing_is_sent(sightline):
  said, sent = sightline()
  assert sent == []
  assert said.splitlines() == [
    'wrote /x/tiny.yaml for vertex: 2 steps in image sightline:1',
    'run parameters: epochs=5',
    'a run has to be given: serving_directory',
  ]


@pytest.mark.parametrize('target', ['vertex', 'kfp'])
def test_submit_hands_the_file_to_the_target(sightline, target):
  words = ('--target', target, '--submit', '--param', 'serving_directory=/s', '--project', 'p')
  said, sent = sightline(*words, '--region', 'r', '--endpoint', 'http://e', '--namespace', 'n')
  to = submission.Destination('p', 'r', None, 'http://e', 'n')
  given = (MADE.path, 'tiny', 'gs://bucket/tiny', {'serving_directory': '/s'}, to)
  assert sent == [(target, given)]
  assert 'run r1 was created' in said


def test_a_missing_parameter_stops_before_anything_is_sent(sightline):
  with pytest.raises(ConfigError, match='serving_directory'):
    sightline('--submit')
  assert sightline()[1] == []


def test_what_has_a_default_and_what_has_none():
  assert compile_command.describe(MADE, 'kfp')[1:] == [
    'run parameters: epochs=5',
    'a run has to be given: serving_directory',
  ]
