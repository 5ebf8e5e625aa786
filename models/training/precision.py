"""The dtype policy of training: which one, and why."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Precision:
  """A dtype policy by its Keras name, and why it was chosen."""

  policy: str
  reason: str


def choose(requested: str) -> Precision:
  """Chooses a dtype policy for this machine.

  Args:
    requested: `auto`, `float32` or `mixed_bfloat16`.

  Returns:
    The policy's Keras name, and the reason for the record.
  """
  if requested != 'auto':
    return Precision(requested, f'train.precision is {requested}')
  gpus = tf.config.list_physical_devices('GPU')
  if not gpus:
    return Precision(
      'float32', 'no GPU: on CPUs mixed_bfloat16 makes EfficientNet slower, not faster'
    )
  capability = tf.config.experimental.get_device_details(gpus[0]).get('compute_capability')
  if capability and capability >= (8, 0):
    return Precision('mixed_bfloat16', f'the GPU has compute capability {capability}')
  return Precision('float32', f'the GPU (compute capability {capability}) has no bfloat16')
