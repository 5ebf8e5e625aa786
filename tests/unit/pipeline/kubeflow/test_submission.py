"""What is sent to a cluster, and what is said where none answers. No cluster is asked here."""

import http.server
import json
import threading

import pytest
from google.auth import credentials as google_credentials

from pipeline import compilation
from pipeline.kubeflow import submission
from pipeline.kubeflow.submission import Destination
from schemas import loader
from schemas.errors import ConfigError, RunError

DEFAULTS = {'epochs': 5, 'learning_rate': 0.1, 'data_root': '/data', 'serving_directory': None}


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
  folder = tmp_path_factory.mktemp('compiled')
  tree = {'name': 'tiny', 'data': {'root': '/data'}, 'run': {'state': '/shared/state'}}
  config = loader.build_config(tree, 'test', working_directory=folder)
  return {
    target: compilation.compile_pipeline(
      config, folder / f'{target}.yaml', 'gs://bucket/tiny', target=target
    )
    for target in ('vertex', 'kfp')
  }


def test_values_have_the_types_of_their_defaults():
  rows = ['epochs=7', 'learning_rate=1e-3', 'serving_directory=/s', 'data_root=/a=b']
  assert submission.parameters(rows, DEFAULTS) == {
    'epochs': 7,
    'learning_rate': 0.001,
    'serving_directory': '/s',
    'data_root': '/a=b',
  }


@pytest.mark.parametrize(
  ('rows', 'words'),
  [
    (['epoch=7'], '--param epoch=7: expected NAME=VALUE.*data_root, epochs'),
    (['epochs'], '--param epochs: expected NAME=VALUE'),
    (['epochs=many'], '--param epochs=many: expected a value of type int'),
    (['epochs=7'], 'expected a value for serving_directory'),
  ],
)
def test_what_cannot_be_a_parameter_is_refused(rows, words):
  with pytest.raises(ConfigError, match=words):
    submission.parameters(rows, DEFAULTS)


@pytest.mark.parametrize(
  ('root', 'destination', 'words'),
  [
    ('gs://b/x', Destination(region='europe-west4'), '--project: expected a value'),
    ('gs://b/x', Destination(project='p'), '--region: expected a value'),
    ('', Destination(project='p', region='r'), '--pipeline-root: expected gs://bucket/path'),
    ('gs://b/x', Destination(project='p', region='r'), 'expected credentials of Google Cloud'),
  ],
)
def test_what_vertex_needs_and_nobody_gave(monkeypatch, tmp_path, root, destination, words):
  monkeypatch.setenv('NO_GCE_CHECK', 'true')
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setenv('CLOUDSDK_CONFIG', str(tmp_path))
  monkeypatch.delenv('GOOGLE_APPLICATION_CREDENTIALS', raising=False)
  with pytest.raises(ConfigError, match=words):
    submission.to_vertex(tmp_path / 'x.yaml', 'tiny', root, {}, destination)


@pytest.mark.slow
def test_vertex_is_sent_the_file_and_the_parameters(compiled):
  job = submission.vertex_job(
    compiled['vertex'].path,
    'tiny',
    'gs://bucket/tiny',
    {'epochs': 7, 'serving_directory': '/gcs/bucket/serving'},
    Destination(project='p', region='europe-west4'),
    google_credentials.AnonymousCredentials(),
  )
  sent = job.to_dict()
  assert set(sent['pipelineSpec']['root']['dag']['tasks']) == set(compiled['vertex'].tasks)
  assert sent['runtimeConfig']['gcsOutputDirectory'] == 'gs://bucket/tiny'
  assert sent['runtimeConfig']['parameterValues'] == {
    'epochs': 7.0,
    'serving_directory': '/gcs/bucket/serving',
  }


@pytest.mark.slow
def test_what_vertex_cannot_read_is_said(compiled):
  with pytest.raises(RunError, match='Vertex AI cannot read it.*no_such_parameter'):
    submission.vertex_job(
      compiled['vertex'].path,
      'tiny',
      'gs://bucket/tiny',
      {'no_such_parameter': 1},
      Destination(project='p', region='europe-west4'),
      google_credentials.AnonymousCredentials(),
    )


class Api(http.server.BaseHTTPRequestHandler):
  """As much of the API of Kubeflow Pipelines as one run needs; it keeps what it was sent."""

  def do_GET(self):
    self._answer({'multi_user': False} if 'healthz' in self.path else {'experiments': []})

  def do_POST(self):
    sent = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
    self.server.sent[self.path] = sent
    self._answer({'experiment_id': 'e-1'} if 'experiments' in self.path else {'run_id': 'r-1'})

  def _answer(self, body):
    text = json.dumps(body).encode()
    self.send_response(200)
    self.send_header('Content-Type', 'application/json')
    self.send_header('Content-Length', str(len(text)))
    self.end_headers()
    self.wfile.write(text)

  def log_message(self, *_):
    pass


@pytest.mark.slow
def test_kubeflow_pipelines_is_sent_the_file_and_the_parameters(compiled):
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Api)
  server.sent = {}
  threading.Thread(target=server.serve_forever, daemon=True).start()
  try:
    made = submission.to_kfp(
      compiled['kfp'].path,
      'tiny',
      'gs://bucket/tiny',
      {'epochs': 7, 'serving_directory': '/shared/serving'},
      Destination(endpoint=f'http://127.0.0.1:{server.server_address[1]}'),
    )
  finally:
    server.shutdown()
    server.server_close()
  assert made == 'r-1'
  sent = server.sent['/apis/v2beta1/runs']
  assert sent['runtime_config'] == {
    'pipeline_root': 'gs://bucket/tiny',
    'parameters': {'epochs': 7, 'serving_directory': '/shared/serving'},
  }
  assert set(sent['pipeline_spec']['root']['dag']['tasks']) == set(compiled['kfp'].tasks)


def test_kubeflow_pipelines_without_an_address(tmp_path):
  with pytest.raises(ConfigError, match='--endpoint: expected the address.*port-forward'):
    submission.to_kfp(tmp_path / 'x.yaml', 'tiny', '', {}, Destination())


def test_kubeflow_pipelines_that_does_not_answer(tmp_path):
  destination = Destination(endpoint='http://127.0.0.1:1')
  with pytest.raises(RunError, match='http://127.0.0.1:1: expected Kubeflow Pipelines to accept'):
    submission.to_kfp(tmp_path / 'x.yaml', 'tiny', '', {}, destination)
