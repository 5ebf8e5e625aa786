"""Classify, Regress and MultiInference by gRPC."""

import grpc
import pytest
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tests.e2e.conformance import models
from tests.e2e.conformance.client import RPC_SECONDS, example, fill, refused

CLASSIFY, REGRESS = 'tensorflow/serving/classify', 'tensorflow/serving/regress'
HALF_PLUS_TWO = pytest.mark.parametrize('name', ['half_plus_two', 'half_plus_two_tf2'])
TWO = (example(x=2.0),)


def classify(server, name, signature_name='', examples=TWO, **which):
  request = classification_pb2.ClassificationRequest()
  fill(request.model_spec, name, signature_name, **which)
  request.input.example_list.examples.extend(examples)
  return server.predictions.Classify(request, RPC_SECONDS)


def regress(server, name, signature_name='', examples=TWO, **which):
  request = regression_pb2.RegressionRequest()
  fill(request.model_spec, name, signature_name, **which)
  request.input.example_list.examples.extend(examples)
  return server.predictions.Regress(request, RPC_SECONDS)


def infer(server, *tasks: tuple[str, str, str], examples=TWO, **which):
  request = inference_pb2.MultiInferenceRequest()
  for name, signature_name, method_name in tasks:
    task = request.tasks.add(method_name=method_name)
    fill(task.model_spec, name, signature_name, **which)
  request.input.example_list.examples.extend(examples)
  return server.predictions.MultiInference(request, RPC_SECONDS)


def who(answer) -> tuple[str, str, int]:
  spec = answer.model_spec
  return spec.name, spec.signature_name, spec.version.value


@HALF_PLUS_TWO
def test_classify(server, name):
  answer = classify(server, name, 'classify_x_to_y')
  ((one,),) = [row.classes for row in answer.result.classifications]
  assert (one.label, one.score) == ('', 3.0)
  assert who(answer) == (name, 'classify_x_to_y', 123)


@HALF_PLUS_TWO
def test_regress(server, name):
  answer = regress(server, name, 'regress_x_to_y')
  assert [one.value for one in answer.result.regressions] == [3.0]
  assert who(answer) == (name, 'regress_x_to_y', 123)


def test_classes_and_scores_of_several_examples(server):
  answer = classify(server, 'examples', '', [example(x=0.5, y=0.25), example(x=0.0, y=1.0)])
  rows = [[(c.label, c.score) for c in row.classes] for row in answer.result.classifications]
  assert rows == [[('first', 0.5), ('second', 0.25)], [('first', 0.0), ('second', 1.0)]]
  assert who(answer) == ('examples', 'serving_default', 1)


@pytest.mark.parametrize(
  ('which', 'y', 'version'),
  [({}, 4.0, 124), ({'version': 123}, 3.0, 123), ({'label': models.STABLE}, 3.0, 123)],
)
def test_versions_and_labels(server, which, y, version):
  answer = regress(server, 'two_versions', 'regress_x_to_y', **which)
  assert [one.value for one in answer.result.regressions] == [y]
  assert answer.model_spec.version.value == version


def test_the_context_is_merged_into_every_example(server):
  request = regression_pb2.RegressionRequest()
  fill(request.model_spec, 'examples', 'sum')
  given = request.input.example_list_with_context
  given.context.CopyFrom(example(y=10.0))
  given.examples.extend([example(x=1.0), example(x=2.0, y=5.0)])
  answer = server.predictions.Regress(request, RPC_SECONDS)
  assert [one.value for one in answer.result.regressions] == [11.0, 7.0]


@HALF_PLUS_TWO
def test_multi_inference(server, name):
  answer = infer(server, (name, 'regress_x_to_y', REGRESS), (name, 'classify_x_to_y', CLASSIFY))
  first, second = answer.results
  assert [one.value for one in first.regression_result.regressions] == [3.0]
  ((one,),) = [row.classes for row in second.classification_result.classifications]
  assert one.score == 3.0
  assert [who(one) for one in answer.results] == [
    (name, 'regress_x_to_y', 123),
    (name, 'classify_x_to_y', 123),
  ]


def test_multi_inference_of_a_version(server):
  answer = infer(server, ('two_versions', 'regress_x_to_y', REGRESS), version=123)
  assert [one.value for one in answer.results[0].regression_result.regressions] == [3.0]
  assert who(answer.results[0]) == ('two_versions', 'regress_x_to_y', 123)


@pytest.mark.parametrize(
  ('tasks', 'code'),
  [
    (
      [
        ('half_plus_two', 'regress_x_to_y', REGRESS),
        ('half_plus_three', 'classify_x_to_y', CLASSIFY),
      ],
      grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
      [
        ('half_plus_two', 'regress_x_to_y', REGRESS),
        ('half_plus_two', 'regress_x_to_y', REGRESS),
      ],
      grpc.StatusCode.INVALID_ARGUMENT,
    ),
    ([('half_plus_two', 'nothing', REGRESS)], grpc.StatusCode.INVALID_ARGUMENT),
    (
      [('half_plus_two', 'serving_default', 'tensorflow/serving/predict')],
      grpc.StatusCode.UNIMPLEMENTED,
    ),
    ([('nobody', 'regress_x_to_y', REGRESS)], grpc.StatusCode.NOT_FOUND),
  ],
  ids=['two models', 'twice', 'unknown signature', 'another method', 'unknown model'],
)
def test_tasks_that_are_refused(server, tasks, code):
  refused(lambda: infer(server, *tasks), code)


def test_no_task_at_all(server):
  refused(lambda: infer(server), grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize('call', [classify, regress])
def test_no_example_at_all(server, call):
  text = refused(
    lambda: call(server, 'examples', 'sum' if call is regress else '', []),
    grpc.StatusCode.INVALID_ARGUMENT,
  )
  assert text == 'Input is empty.'


@pytest.mark.parametrize('call', [classify, regress])
def test_an_unknown_signature(server, call):
  text = refused(lambda: call(server, 'half_plus_two', 'nothing'), grpc.StatusCode.INVALID_ARGUMENT)
  assert text == 'No signature was found with the name: nothing'


@pytest.mark.parametrize(
  ('call', 'signature_name'),
  [
    (classify, 'regress_x_to_y'),
    (classify, 'serving_default'),
    (regress, 'classify_x_to_y'),
    (regress, 'serving_default'),
  ],
)
def test_a_signature_that_does_not_fit(server, call, signature_name):
  refused(lambda: call(server, 'half_plus_two', signature_name), grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize('call', [classify, regress])
def test_an_unknown_model(server, call):
  text = refused(lambda: call(server, 'nobody'), grpc.StatusCode.NOT_FOUND)
  assert text == 'Servable not found for request: Latest(nobody)'


def test_an_example_that_the_graph_refuses(server):
  refused(
    lambda: regress(server, 'examples', 'sum', [example(x=b'text')]),
    grpc.StatusCode.INVALID_ARGUMENT,
  )
