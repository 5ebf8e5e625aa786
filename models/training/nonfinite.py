"""Where the first value came from that is not finite."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# The one kind of model that knows the order of its layers; Keras exports no name for it.
from keras.src.models.functional import Functional

from models.training import model_state


@dataclasses.dataclass(frozen=True)
class _Call:
  """One layer or operation at work: what went in and what came out."""

  operation: Any
  inputs: list[tf.Tensor]
  outputs: list[tf.Tensor]


def first_bad_layer(
  model: keras.Model, pixels: np.ndarray, labels: np.ndarray, loss: keras.losses.Loss
) -> str:
  """Says in words where NaN or infinity came up first.

  In the order of the computation: the pixels and labels; the forward pass, as in
  training and then as in inference, to the first layer that gives something that is
  not finite although its inputs are; weights; the loss; and the way back, to the first
  layer whose gradient is not finite although the gradient that reached it was.

  A step that went bad leaves NaN in every weight, and then the first layer with weights
  is named. So put the weights of before that step back, and call this with its batch.

  Args:
    model: from pixels to logits; it stays as it is, dropout's seeds included.
    pixels: float32 [N, H, W, 3].
    labels: float32 [N, K].
    loss: called with (labels, logits).

  Returns:
    One to three sentences for an error text.
  """
  for what, values in (('pixels', pixels), ('labels', labels)):
    if not np.isfinite(values).all():
      rows = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
      return (
        f'The {what} themselves are not finite: {_amount(values)} in {len(rows)} of '
        f'{len(values)} images of the batch, the first at position {rows[0]}.'
      )
  with model_state.kept(model), tf.GradientTape() as tape:
    return _search(model, tf.constant(pixels), tf.constant(labels), loss, tape)


def _search(
  model: keras.Model,
  pixels: tf.Tensor,
  labels: tf.Tensor,
  loss: keras.losses.Loss,
  tape: tf.GradientTape,
) -> str:
  # Before the pass, which carries NaN on into BatchNorm's statistics.
  weights = [v for v in model.variables if not _finite([v])]
  calls: list[_Call] = []
  logits = _forward(model, pixels, True, calls)
  value = loss(labels, logits)
  bad = _first_bad(calls)
  if bad is not None:
    return _in_forward(calls, bad, 'as in training', weights, model)
  with tape.stop_recording():
    inference: list[_Call] = []
    _forward(model, pixels, False, inference)
    bad = _first_bad(inference)
    if bad is not None:
      mode = 'as in inference; as in training all is finite'
      return _in_forward(inference, bad, mode, weights, model)
    if weights:
      return (
        f'The weights of {weights[0].path} are not finite ({_amount(np.array(weights[0]))}), '
        'though no layer shows it on this batch.' + _how_many(model, weights)
      )
    if not np.isfinite(value.numpy()).all():
      return (
        f'The loss itself ({loss.name}) is {value.numpy()}, although every layer is finite: '
        f'the logits lie between {_range([logits])}.'
      )
    return _in_backward(model, calls, value, tape)


def _forward(model: Any, inputs: Any, training: bool, calls: list[_Call]) -> Any:
  """Runs a model eagerly, in its own order, and notes each call of a layer."""
  functional = getattr(model, '_functional', None) or model  # a Sequential has one inside
  if not isinstance(functional, Functional):
    return _note(model, calls, training, (inputs,), {})

  def operation_of(operation: Any):
    if isinstance(operation, keras.Model):
      return lambda given, **_: _forward(operation, given, training, calls)
    return lambda *args, **kwargs: _note(operation, calls, training, args, kwargs)

  given = functional._standardize_inputs(inputs)
  outputs = functional._run_through_graph(given, operation_fn=operation_of)
  return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs


def _note(operation: Any, calls: list[_Call], training: bool, args: tuple, kwargs: dict) -> Any:
  if getattr(operation, '_call_has_training_arg', False):
    kwargs = {**kwargs, 'training': training}
  outputs = operation(*args, **kwargs)
  calls.append(_Call(operation, _floats((args, kwargs)), _floats(outputs)))
  return outputs


def _floats(structure: Any) -> list[tf.Tensor]:
  return [
    value
    for value in tf.nest.flatten(structure)
    if isinstance(value, tf.Tensor) and value.dtype.is_floating
  ]


def _first_bad(calls: list[_Call]) -> int | None:
  # What went into the model is finite, so what goes into the first such call is as well.
  return next((i for i, call in enumerate(calls) if not _finite(call.outputs)), None)


def _in_forward(
  calls: list[_Call], index: int, mode: str, weights: list[keras.Variable], model: keras.Model
) -> str:
  call = calls[index]
  text = (
    f'{_named(call.operation)} is the first of {len(calls)} layers whose output is not finite '
    f'({_amount(np.concatenate([_flat(value) for value in call.outputs]))}, {mode}), although '
    f'its inputs are: they lie between {_range(call.inputs)}, as {call.outputs[0].dtype.name}.'
  )
  within = {id(variable) for variable in getattr(call.operation, 'variables', [])}
  own = [variable for variable in weights if id(variable) in within]
  if own:
    text += f' Its {own[0].name} held such values already.' + _how_many(model, weights)
  return text


def _in_backward(
  model: keras.Model, calls: list[_Call], value: tf.Tensor, tape: tf.GradientTape
) -> str:
  variables = model.trainable_variables
  ins = [call.inputs for call in calls]
  outs = [call.outputs for call in calls]
  gradients, to_inputs, to_outputs = tape.gradient(
    value, [[variable.value for variable in variables], ins, outs]
  )
  of_variable = {id(v): g for v, g in zip(variables, gradients, strict=True)}
  for call, given, received in zip(
    reversed(calls), reversed(to_inputs), reversed(to_outputs), strict=True
  ):
    if not _finite(_present(received)):
      continue
    own = [
      v
      for v in getattr(call.operation, 'trainable_variables', [])
      if not _finite(_present([of_variable.get(id(v))]))
    ]
    if own or not _finite(_present(given)):
      where = f' of its {own[0].name}' if own else ' that it passes back'
      return (
        f'The loss and every layer are finite, but not every gradient: on the way back from the '
        f'loss, {_named(call.operation)} is the first where the gradient{where} is not. '
        f'Its inputs lie between {_range(call.inputs)}.'
      )
  bad = [v for v in reversed(variables) if not _finite(_present([of_variable[id(v)]]))]
  if bad:
    return (
      'The loss and every layer are finite, but not every gradient: on the way back from the '
      f'loss, that of {bad[0].path} is the first that is not.'
    )
  if not _finite(_present(to_outputs[-1])):
    return 'The loss is finite, but its gradient at the logits is not.'
  return (
    f'Nothing that is not finite was found on this batch: the loss is {value.numpy():.4g}. Either '
    'these weights or this batch are not those of the step that went bad.'
  )


def _how_many(model: keras.Model, bad: list[keras.Variable]) -> str:
  if len(bad) < 2:
    return ''
  return (
    f' {len(bad)} of {len(model.variables)} variables hold such values: '
    'the step before this one, or the file that they came from, was bad already.'
  )


def _present(values: list) -> list:
  return [
    value.values if isinstance(value, tf.IndexedSlices) else value
    for value in values
    if value is not None
  ]


def _finite(values: list) -> bool:
  return all(np.isfinite(_flat(value)).all() for value in values)


def _flat(value: Any) -> np.ndarray:
  # NumPy's isfinite does not know bfloat16; float32 holds all of its values.
  array = np.array(value)
  return (array if array.dtype == np.float64 else array.astype(np.float32)).ravel()


def _amount(values: np.ndarray) -> str:
  nan = int(np.isnan(values).sum())
  infinite = int(np.isinf(values).sum())
  said = [f'{nan:,} NaN'] * (nan > 0) + [f'{infinite:,} infinite'] * (infinite > 0)
  return f'{" and ".join(said)} of {values.size:,} values'


def _range(values: list) -> str:
  every = np.concatenate([_flat(value) for value in values])
  return f'{every.min():.4g} and {every.max():.4g}'


def _named(operation: Any) -> str:
  kind = type(operation).__name__
  return f'{getattr(operation, "path", operation.name)} ({kind})'
