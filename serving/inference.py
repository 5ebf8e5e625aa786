"""The calls of TensorFlow Serving's PredictionService, without a protocol.

REST and gRPC read requests and write answers; what happens between is the same, and
here.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from schemas import signatures
from serving import door, example_calls
from serving.batching import Batcher
from serving.metrics import (
  ANSWER_COUNT,
  FOREIGN_COUNT,
  LOW_CONFIDENCE_COUNT,
  REFUSED_COUNT,
  RUNTIME_LATENCY,
  Metrics,
)
from serving.servable import Servable, numpy_dtype
from serving.served_models import Lent, ServedModels, Spec
from serving.status_error import FAILED_PRECONDITION, INVALID_ARGUMENT, UNIMPLEMENTED, StatusError

# What tf.saved_model.signature_constants calls them.
CLASSIFY = tf.saved_model.CLASSIFY_METHOD_NAME
REGRESS = tf.saved_model.REGRESS_METHOD_NAME

ReadInputs = Callable[[meta_graph_pb2.SignatureDef], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Call:
  """Who is asked, and until when.

  Attributes:
    spec: the model.
    signature_name: '' for serving_default.
    request_id: by which logs name it.
    deadline: by time.monotonic(), in seconds; None for none.
  """

  spec: Spec
  signature_name: str = ''
  request_id: str = ''
  deadline: float | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
  """What a version said.

  Attributes:
    name: of the model.
    version: that answered.
    sha256: of its weights; '' for a model without any.
    signature_name: that ran.
    inputs: as the client sent them.
    outputs: an array for each output that was asked for.
    fallback: '' where the model answered; otherwise what did in its place.
  """

  name: str
  version: int
  sha256: str
  signature_name: str
  inputs: Mapping[str, np.ndarray]
  outputs: Mapping[str, np.ndarray]
  fallback: str = ''


class UnknownSignatureError(StatusError):
  """The model has no signature of that name.

  Attributes:
    signature_name: that name.
  """

  def __init__(self, signature_name: str):
    super().__init__(FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.')
    self.signature_name = signature_name


class Inference:
  """Answers requests from the models in service.

  Args:
    models: in service.
    limits: of a request.
    batcher: puts requests together; without one each runs alone.
    metrics: that count and time.
  """

  def __init__(
    self,
    models: ServedModels,
    limits: door.Limits | None = None,
    batcher: Batcher | None = None,
    metrics: Metrics | None = None,
  ):
    self.models = models
    self.limits = limits or door.Limits()
    self.metrics = metrics or Metrics()
    self._batcher = batcher

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
      signature = _signature(lent.servable, name)
      _check_filter(output_filter, signature)
      inputs = read(signature)
      outputs = self._run(call, lent, name, inputs, 'Predict')
      wanted = {key: outputs[key] for key in output_filter or sorted(outputs)}
      return Answer(lent.name, lent.version, lent.servable.weights_sha256, name, inputs, wanted)

  def classify(
    self, call: Call, given: input_pb2.Input
  ) -> tuple[Answer, classification_pb2.ClassificationResult]:
    """Classifies tf.Examples by a signature of string `inputs` to `classes`, `scores` or both.

    Raises:
      StatusError: as predict; also for a signature that is no classifier, or no examples.
      tf.errors.OpError: the graph refused them.
    """
    answer, size = self._by_examples(call, given, 'Classify', example_calls.check_classify)
    return answer, example_calls.classifications(answer.outputs, size)

  def regress(
    self, call: Call, given: input_pb2.Input
  ) -> tuple[Answer, regression_pb2.RegressionResult]:
    """Regresses tf.Examples by a signature of string `inputs` to float `outputs`.

    Raises:
      StatusError: as predict; also for a signature that is no regressor, or no examples.
      tf.errors.OpError: the graph refused them.
    """
    answer, size = self._by_examples(call, given, 'Regress', example_calls.check_regress)
    return answer, example_calls.regressions(answer.outputs, size)

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
    _check_tasks(request.tasks)
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
      signature = _signature(lent.servable, name)
      wanted = check(name, signature)
      records = example_calls.records(given)
      outputs = self._run(call, lent, name, {example_calls.INPUTS: records}, api)
      answer = Answer(
        lent.name,
        lent.version,
        lent.servable.weights_sha256,
        name,
        {example_calls.INPUTS: records},
        {key: outputs[key] for key in wanted},
      )
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
    labels = (lent.name, api, str(lent.version), name)
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


def fill_spec(model_spec, answer: Answer) -> None:
  """Writes into a ModelSpec who answered."""
  model_spec.name = answer.name
  model_spec.version.value = answer.version
  model_spec.signature_name = answer.signature_name


def _signature(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
  if name not in servable.signatures:
    raise UnknownSignatureError(name)
  return servable.signatures[name]


def check_inputs(inputs: Mapping[str, np.ndarray], signature: meta_graph_pb2.SignatureDef) -> None:
  """Compares what a client sent with what the signature takes.

  Raises:
    StatusError: INVALID_ARGUMENT: an input is missing, not of the signature, or of
      another type.
  """
  expected, received = set(signature.inputs), set(inputs)
  if expected != received:
    raise StatusError(
      INVALID_ARGUMENT,
      f'input size does not match signature: {len(received)}!={len(expected)} '
      f'len({{{",".join(sorted(received))}}})!=len({{{",".join(sorted(expected))}}}). '
      f'Sent extra: {{{",".join(sorted(received - expected))}}}. '
      f'Missing but required: {{{",".join(sorted(expected - received))}}}.',
    )
  for name, info in signature.inputs.items():
    if inputs[name].dtype != numpy_dtype(info):
      raise StatusError(
        INVALID_ARGUMENT,
        f'{name}: expected {tf.dtypes.as_dtype(info.dtype).name}. '
        f'Received: {inputs[name].dtype.name}.',
      )


def _check_filter(output_filter: Sequence[str], signature: meta_graph_pb2.SignatureDef) -> None:
  for index, name in enumerate(output_filter):
    if name not in signature.outputs:
      raise StatusError(
        INVALID_ARGUMENT,
        f'output tensor alias not found in signature: {name} '
        f'Outputs expected to be in the set {{{",".join(sorted(signature.outputs))}}}.',
      )
    if name in output_filter[:index]:
      raise StatusError(INVALID_ARGUMENT, f'duplicate output tensor alias: {name}')


def _check_tasks(tasks) -> None:
  names = {task.model_spec.name for task in tasks}
  if len(names) > 1:
    raise StatusError(
      INVALID_ARGUMENT,
      'All ModelSpecs in a MultiInferenceRequest must access the same model name.',
    )
  seen: set[str] = set()
  for task in tasks:
    signature_name = task.model_spec.signature_name or signatures.SERVING_DEFAULT
    if signature_name in seen:
      raise StatusError(INVALID_ARGUMENT, f'Duplicate evaluation of signature: {signature_name}')
    seen.add(signature_name)
    if task.method_name not in (CLASSIFY, REGRESS):
      raise StatusError(UNIMPLEMENTED, f'Unsupported signature method_name: {task.method_name}')
