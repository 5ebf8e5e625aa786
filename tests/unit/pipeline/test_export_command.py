"""The command: what it refuses before anything is loaded, and what it prints."""

import pathlib

import pytest

from components.evaluator import comparison
from models.formats import parity
from pipeline import export_command, other_formats
from pipeline.diagnosis import subject
from schemas.errors import ConfigError

SUBJECT = subject.Subject(
  'run-1', '7', 'digits', *[pathlib.Path('x')] * 3, ('x',), *[pathlib.Path('x')] * 2
)
PARITY = parity.Parity(60, 2e-6, 3, 60, {'foreign': 0}, None)


def run(format_name='openvino', output=None, quantized=False, into=False, config=None, sets=()):
  export_command.run('7', format_name, output, quantized, into, config, sets)


@pytest.fixture
def written(monkeypatch):
  """Returns what other_formats was asked for; nothing is converted."""
  asked = []
  loss = comparison.Comparison('same', 60, 60, 1, 2, -1 / 60, (-0.1, 0.05), 1.0, 'McNemar', None)

  def write(of_run, wanted, limits):
    asked.append((wanted, limits))
    loss_of = loss if wanted.quantized else None
    return other_formats.Exported(wanted.folder, 1_230_000, PARITY, loss_of)

  monkeypatch.setattr(other_formats, 'write', write)
  monkeypatch.setattr(subject, 'find', lambda wanted, root: SUBJECT)
  return asked


@pytest.mark.parametrize(
  ('arguments', 'said'),
  [
    ({'format_name': 'onnx', 'quantized': True}, 'expected --format openvino. Received: onnx'),
    ({'format_name': 'litert', 'into': True}, 'expected --format openvino'),
    ({'output': pathlib.Path('a'), 'into': True}, 'Received: both'),
    ({'sets': ['formats.max_int8_loss=0.1']}, '--config CONFIG'),
  ],
)
def test_what_does_not_go_together_is_refused(arguments, said):
  with pytest.raises(ConfigError, match=said):
    run(**arguments)


def test_the_folder_has_the_name_of_what_is_in_it(written, capfd):
  run(quantized=True)
  run('onnx', pathlib.Path('there'))
  run(into=True)
  wanted = [one for one, _ in written]
  assert [str(one.folder) for one in wanted] == [
    'digits-7-openvino-int8',
    'there',
    'x/assets.extra/openvino',
  ]
  assert [one.replace for one in wanted] == [False, False, True]
  printed = capfd.readouterr().out
  assert 'wrote digits-7-openvino-int8: 1.23 MB' in printed
  assert '60 images: probabilities differ by 2.0e-06 at most; the same class on 60' in printed
  assert '8 bits against the export: same, -0.0167' in printed


def test_limits_are_those_of_the_experiment(written, tmp_path):
  config = tmp_path / 'e.yaml'
  config.write_text('name: e\ndata: {root: images}\nformats: {max_difference: 0.5}\n')
  (tmp_path / 'images').mkdir()
  run(config=config, sets=['formats.max_int8_loss=0.2'])
  (_, limits), *_ = written
  assert (limits.max_difference, limits.max_int8_loss) == (0.5, 0.2)


def test_what_was_not_published_has_no_version_to_write_into(written, monkeypatch):
  import dataclasses

  unpublished = dataclasses.replace(SUBJECT, version='')
  monkeypatch.setattr(subject, 'find', lambda wanted, root: unpublished)
  with pytest.raises(ConfigError, match='run run-1, which published none'):
    run(into=True)
