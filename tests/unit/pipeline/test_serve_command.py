"""What `sightline predict` prints of an answer."""

import pathlib

import pytest

from pipeline import serve_command
from schemas.errors import ConfigError, ExportError
from serving import client

ANSWER = client.Prediction(pathlib.Path('a [1].png'), 'red', 0, 0.75, (0.75, 0.25), '7', 'ab')


@pytest.mark.parametrize(
  ('said', 'note'),
  [
    ({}, ''),
    ({'low_confidence': False, 'foreign': False}, ''),
    ({'low_confidence': True, 'foreign': False}, 'low confidence'),
    ({'foreign': True}, 'unlike the images of train'),
    ({'low_confidence': True, 'foreign': True}, 'low confidence, unlike the images of train'),
  ],
)
def test_a_line_says_why_a_person_should_look(said, note, monkeypatch, capsys):
  import dataclasses

  monkeypatch.setenv('COLUMNS', '200')
  monkeypatch.setattr(client, 'predict', lambda *_: [dataclasses.replace(ANSWER, **said)])
  serve_command.predict([ANSWER.path], 'http://127.0.0.1:1', 'm')
  heading, line = capsys.readouterr().out.splitlines()
  assert heading.split() == ['file', 'label', 'probability', 'version', 'note']
  assert line.split(maxsplit=5) == ['a', '[1].png', 'red', '0.7500', '7', *([note] if note else [])]


def test_a_backend_that_is_not_known_or_not_installed_is_said_at_once(monkeypatch, tmp_path):
  models = serve_command.Models(directory=tmp_path)
  listening = serve_command.Listening('127.0.0.1', 0, 0)
  with pytest.raises(ConfigError, match='expected tensorflow or openvino. Received: onnx'):
    serve_command.serve(models, listening, 1.0, 0.0, True, backend='onnx')
  monkeypatch.setattr(serve_command.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ExportError, match=r"pip install 'sightline\[fast\]'"):
    serve_command.serve(models, listening, 1.0, 0.0, True, backend='openvino')


def test_the_backend_chooses_what_loads_a_version():
  from serving.openvino_servable import OpenVinoServable
  from serving.servable import Servable

  assert serve_command._loader('openvino') is OpenVinoServable
  assert serve_command._loader('tensorflow') is Servable
