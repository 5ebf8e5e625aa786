"""The requests in assets.extra, replayed before a version answers."""

import pytest
from tensorflow_serving.apis import prediction_log_pb2

from tests.e2e.conformance import models
from tests.e2e.conformance.client import example, fill, predict_request


def of_predict(**given) -> prediction_log_pb2.PredictionLog:
  log = prediction_log_pb2.PredictionLog()
  log.predict_log.request.CopyFrom(predict_request('any', **given))
  return log


def of_examples(kind: str, signature_name: str) -> prediction_log_pb2.PredictionLog:
  log = prediction_log_pb2.PredictionLog()
  request = getattr(log, kind).request
  fill(request.model_spec, 'any', signature_name)
  request.input.example_list.examples.append(example(x=2.0))
  return log


def of_multi_inference(*tasks: tuple[str, str]) -> prediction_log_pb2.PredictionLog:
  log = prediction_log_pb2.PredictionLog()
  request = log.multi_inference_log.request
  for signature_name, method in tasks:
    task = request.tasks.add(method_name=f'tensorflow/serving/{method}')
    fill(task.model_spec, 'any', signature_name)
  request.input.example_list.examples.append(example(x=2.0))
  return log


GOOD = {
  'predict': of_predict(inputs={'x': [2.0]}),
  'classify': of_examples('classify_log', 'classify_x_to_y'),
  'regress': of_examples('regress_log', 'regress_x_to_y'),
  'multi_inference': of_multi_inference(
    ('classify_x_to_y', 'classify'), ('regress_x_to_y', 'regress')
  ),
}
BAD = {
  'another signature': of_predict(inputs={'x': [2.0]}, signature_name='nothing'),
  'another input': of_predict(inputs={'z': [2.0]}),
  'a regressor that is none': of_examples('regress_log', 'serving_default'),
}


NOT_REPLAYED = prediction_log_pb2.PredictionLog(session_run_log=prediction_log_pb2.SessionRunLog())


def publish(own_model, *logs) -> None:
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  with own_model.prepared(2, like='half_plus_three') as folder:
    models.write_warm_up(folder, list(logs))


def test_requests_of_every_kind_are_replayed(server, own_model):
  publish(own_model, *GOOD.values())
  own_model.wait_for({1: 'END', 2: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (4.0, 2)


@pytest.mark.parametrize('log', BAD.values(), ids=list(BAD))
def test_a_request_that_is_not_answered_keeps_the_version_out(server, own_model, log):
  publish(own_model, GOOD['predict'], log)
  assert own_model.settled(2) == 'END'
  assert server.predict_y(own_model.name) == (3.0, 1)


def test_a_kind_of_request_that_is_not_replayed_keeps_the_version_out(own_model):
  publish(own_model, GOOD['predict'], NOT_REPLAYED)
  assert own_model.settled(2) == 'END'


def test_a_file_that_holds_no_requests_keeps_the_version_out(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  with own_model.prepared(2) as folder:
    models.write_warm_up(folder, [])
    (folder / models.WARM_UP).write_bytes(b'neither records nor requests')
  assert own_model.settled(2) == 'END'


def test_more_requests_than_a_thousand_keep_the_version_out(own_model):
  publish(own_model, *[GOOD['predict']] * 1001)
  assert own_model.settled(2) == 'END'
