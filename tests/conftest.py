"""What every test may be told on the command line."""

import pathlib


def pytest_addoption(parser):
  group = parser.getgroup('conformance', 'tests/e2e/conformance against another server')
  group.addoption(
    '--server',
    metavar='HOST:PORT[,GRPCPORT]',
    help='A running server to ask instead of starting one; gRPC is at 8500 if not said.',
  )
  group.addoption(
    '--models',
    type=pathlib.Path,
    metavar='DIR',
    help="The folder with that server's test models, on this machine; see the README there.",
  )
  group.addoption(
    '--model-base',
    metavar='DIR',
    help='The same folder as the server sees it; by default the same path.',
  )


def pytest_configure(config):
  for marker in (
    'embedded_only(reason): where the embedded server differs from TensorFlow Serving on purpose',
    'not_yet(reason): what the embedded server does otherwise, and should not',
  ):
    config.addinivalue_line('markers', marker)
