"""The calls of TensorFlow Serving's PredictionService, without a protocol.

REST and gRPC read requests and write answers; what happens between is the same, and
here.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
  classification_pb2,
  inference_pb2,
  input_pb2,
  prediction_log_pb2,
  regression_pb2,
)

from schemas import signatures
from serving import door, example_calls, prediction_logs
from serving import fallback as fallbacks
from serving.batching import Batcher
from serving.calls import Answer, Call, fill_spec
from serving.metrics import (
  ANSWER_COUNT,
  FALLBACK_COUNT,
  FOREIGN_COUNT,
  LOW_CONFIDENCE_COUNT,
  REFUSED_COUNT,
  RUNTIME_LATENCY,
  Metrics,
)
from serving.request_log import RequestLog
from serving.served_models import Lent, ServedModels, Spec
from serving.signature_checks import (
  CLASSIFY,
  UnknownSignatureError,
  check_filter,
  check_tasks,
  signature_of,
)
from serving.status_error import INVALID_ARGUMENT, StatusError

ReadInputs = Callable[[meta_graph_pb2.SignatureDef], Mapping[str, np.ndarray]]

# As upstream names the session's.
_RUNTIME = 'TF1'

_LOG = logging.getLogger(__name__)


class Inference:
  """Answers requests from the models in service.

  Args:
    models: in service.
    limits: of a request.
    batcher: puts requests together; without one each runs alone.
    metrics: that count and time.
    fallback: what answers when a model cannot.
    log: keeps a sample of what was asked and answered.
  """

  def __init__(
    self,
    models: ServedModels,
    limits: door.Limits | None = None,
    batcher: Batcher | None = None,
    metrics: Metrics | None = None,
    fallback: fallbacks.Fallback = fallbacks.Fallback(),
    log: RequestLog | None = None,
  ):
    self.models = models
    self.limits = limits or door.Limits()
    self.metrics = metrics or Metrics()
    self._batcher = batcher
    self._fallback = fallback
    self._log = log

  @contextmanager
  def arriving(self) -> Iterator[None]:
    """Around a request from its arrival: others that wait for a batch may wait for it."""
    if self._batcher is None:
      yield
      return
    with self._batcher.arriving():
      yield

  def predict(self, call: Call, read: ReadInputs, output_filter: Sequence[str] = ()) -> Answer:
    """Runs one signature.

    Args:
      call: who is asked.
      read: gives the inputs, once the signature is known.
      output_filter: names of the outputs that are wanted; all by default.

    Raises:
      StatusError: see the codes of ServedModels.use; FAILED_PRECONDITION for an unknown
        signature, INVALID_ARGUMENT for inputs or outputs that it has not.
      FormatError, RefusedError: the inputs cannot be read, or must not reach the graph.
      tf.errors.OpError: the graph refused them.
    """
    with self.models.use(call.spec) as lent:
      name = call.signature_name or signatures.SERVING_DEFAULT
      signature = signature_of(lent.servable, name)
      check_filter(output_filter, signature)
      inputs = read(signature)
      try:
        outputs = self._run(call, lent, name, inputs, 'Predict')
        answer = _answer(lent, name, inputs, outputs)
      except Exception as error:
        if not fallbacks.is_failure(error):
          raise
        _LOG.exception('%s, version %d, failed.', lent.name, lent.version)
        instead = self._fall_back(call, lent, name, inputs, read)
        if instead is None:
          raise
        answer = instead
    wanted = {key: answer.outputs[key] for key in output_filter or sorted(answer.outputs)}
    self._offer(call, lambda: prediction_logs.of_predict(answer))
    return dataclasses.replace(answer, outputs=wanted)

  def _fall_back(
    self, call: Call, failed: Lent, name: str, inputs: Mapping[str, np.ndarray], read: ReadInputs
  ) -> Answer | None:
    """Answers in the place of a version that failed, if anything can.

    A client that insists on a version gets no other.
    """
    below = self.models.lower(failed.name, failed.version)
    if self._fallback.previous and call.spec.version is None and below is not None:
      try:
        with self.models.use(Spec(failed.name, below)) as lent:
          again = read(signature_of(lent.servable, name))
          outputs = self._run(call, lent, name, again, 'Predict')
          return self._in_place(_answer(lent, name, again, outputs), fallbacks.PREVIOUS)
      except Exception:  # noqa: BLE001 - what was tried in an emergency hides no error
        _LOG.exception('%s, version %d, failed as well.', failed.name, below)
    if not self._fallback.label:
      return None
    rows = len(next(iter(inputs.values())))
    signature = failed.servable.signatures[name]
    stated = fallbacks.stated(self._fallback.label, signature, rows)
    if stated is None:
      return None
    return self._in_place(_answer(failed, name, inputs, stated), fallbacks.DEFAULT)

  def _in_place(self, answer: Answer, kind: str) -> Answer:
    self.metrics.add(FALLBACK_COUNT, answer.name, kind)
    return dataclasses.replace(answer, fallback=kind)

  def _offer(self, call: Call, build: Callable[[], prediction_log_pb2.PredictionLog]) -> None:
    if self._log is not None:
      self._log.offer(call.request_id, build)

  def classify(
    self, call: Call, given: input_pb2.Input
  ) -> tuple[Answer, classification_pb2.ClassificationResult]:
    """Classifies tf.Examples by a signature of string `inputs` to `classes`, `scores` or both.

    Raises:
      StatusError: as predict, but INVALID_ARGUMENT for an unknown signature; also for a
        signature that is no classifier, or no examples.
      tf.errors.OpError: the graph refused them.
    """
    answer, size = self._by_examples(call, given, 'Classify', example_calls.check_classify)
    result = example_calls.classifications(answer.outputs, size)
    self._offer(call, lambda: prediction_logs.of_classify(answer, given, result))
    return answer, result

  def regress(
    self, call: Call, given: input_pb2.Input
  ) -> tuple[Answer, regression_pb2.RegressionResult]:
    """Regresses tf.Examples by a signature of string `inputs` to float `outputs`.

    Raises:
      StatusError: as classify; also for a signature that is no regressor.
      tf.errors.OpError: the graph refused them.
    """
    answer, size = self._by_examples(call, given, 'Regress', example_calls.check_regress)
    result = example_calls.regressions(answer.outputs, size)
    self._offer(call, lambda: prediction_logs.of_regress(answer, given, result))
    return answer, result

  def multi_inference(
    self, call: Call, request: inference_pb2.MultiInferenceRequest
  ) -> tuple[list[Answer], inference_pb2.MultiInferenceResponse]:
    """Runs several classify and regress tasks of one model on the same examples.

    Raises:
      StatusError: INVALID_ARGUMENT: no task, tasks of several models or a signature
        twice. UNIMPLEMENTED: another method.
    """
    if not request.tasks:
      raise StatusError(INVALID_ARGUMENT, 'Inference request must have at least one task.')
    check_tasks(request.tasks)
    response = inference_pb2.MultiInferenceResponse()
    answers = []
    # One version answers every task, whatever is swapped meanwhile.
    with self.models.use(call.spec) as lent:
      spec = Spec(lent.name, lent.version)
      for task in request.tasks:
        one = dataclasses.replace(call, spec=spec, signature_name=task.model_spec.signature_name)
        result = response.results.add()
        if task.method_name == CLASSIFY:
          answer, classified = self.classify(one, request.input)
          result.classification_result.CopyFrom(classified)
        else:
          answer, regressed = self.regress(one, request.input)
          result.regression_result.CopyFrom(regressed)
        fill_spec(result.model_spec, answer)
        answers.append(answer)
    return answers, response

  def metadata(self, spec: Spec) -> tuple[Lent, dict[str, meta_graph_pb2.SignatureDef]]:
    """Returns the version and its signatures.

    Raises:
      StatusError: as ServedModels.use.
    """
    with self.models.use(spec) as lent:
      return lent, dict(lent.servable.signatures)

  def _by_examples(
    self,
    call: Call,
    given: input_pb2.Input,
    api: str,
    check: Callable[[str, meta_graph_pb2.SignatureDef], list[str]],
  ) -> tuple[Answer, int]:
    with self.models.use(call.spec) as lent:
      name = call.signature_name or signatures.SERVING_DEFAULT
      try:
        signature = signature_of(lent.servable, name)
      except UnknownSignatureError as error:
        # Another code than Predict's, as upstream.
        raise StatusError(
          INVALID_ARGUMENT, f'No signature was found with the name: {name}'
        ) from error
      wanted = check(name, signature)
      records = example_calls.records(given)
      inputs = {example_calls.INPUTS: records}
      outputs = self._run(call, lent, name, inputs, api)
    answer = _answer(lent, name, inputs, {key: outputs[key] for key in wanted})
    return answer, len(records)

  def _run(
    self, call: Call, lent: Lent, name: str, inputs: Mapping[str, np.ndarray], api: str
  ) -> Mapping[str, np.ndarray]:
    try:
      admitted = door.admit(inputs, self.limits)
    except door.RefusedError as error:
      self.metrics.add(REFUSED_COUNT, lent.name, error.reason)
      raise
    begin = time.perf_counter()
    if self._batcher is None:
      outputs = lent.servable.run(name, admitted)
    else:
      outputs = self._batcher.run(lent.servable, name, admitted, call.deadline)
    labels = (lent.name, api, _RUNTIME, str(lent.version), name)
    self.metrics.observe(RUNTIME_LATENCY, (time.perf_counter() - begin) * 1e6, *labels)
    self._count(outputs, (lent.name, str(lent.version), name))
    return outputs

  def _count(self, outputs: Mapping[str, np.ndarray], labels: tuple[str, str, str]) -> None:
    if signatures.PROBABILITIES in outputs:
      self.metrics.add(ANSWER_COUNT, *labels, by=len(outputs[signatures.PROBABILITIES]))
    for output, counter in (
      (signatures.LOW_CONFIDENCE, LOW_CONFIDENCE_COUNT),
      (signatures.FOREIGN, FOREIGN_COUNT),
    ):
      if output in outputs:
        self.metrics.add(counter, *labels, by=int(np.sum(outputs[output])))


def _answer(
  lent: Lent, name: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> Answer:
  return Answer(lent.name, lent.version, lent.servable.weights_sha256, name, inputs, outputs)
