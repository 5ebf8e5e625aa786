"""The loss of train.loss, with label smoothing and class weights."""

import keras
import numpy as np

from schemas.config import TrainConfig
from schemas.errors import TrainingError

# Below it, 1 - p is rounding error of float32; a power below 1 would have an
# infinite slope there.
SMALLEST_DOUBT = 1e-7


@keras.saving.register_keras_serializable('sightline')
class WeightedCrossEntropy(keras.losses.Loss):
  """Cross-entropy or focal loss of logits, weighted by class.

  With s the label smoothing, K classes, y the labels, p the softmax of the logits:

    y'     = (1 - s) y + s / K
    loss_i = w_i * -sum_k y'_k (1 - p_k)^gamma log p_k
    w_i    = sum_k y_k c_k

  gamma 0 is cross-entropy. (Lin et al., "Focal Loss for Dense Object Detection",
  2017, equation 4, there for one-hot labels; here the sum over the classes extends it
  to soft ones.) The class weights c see the labels before smoothing, so a mixed image
  gets the mix of its classes' weights.

  Called as a whole it returns the mean of loss_i over the batch. As Keras does for
  class_weight, it divides by the number of images and not by the sum of the weights:
  an image counts the same in whatever batch it is.
  """

  def __init__(
    self,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    class_weights: list[float] | None = None,
    name: str = 'loss',
    reduction: str = 'sum_over_batch_size',
    dtype=None,
  ):
    super().__init__(name=name, reduction=reduction, dtype=dtype)
    self.label_smoothing = label_smoothing
    self.gamma = gamma
    self.class_weights = class_weights

  def call(self, labels, logits):
    """Returns the loss of each image.

    Args:
      labels: float32 [N, K], one-hot or mixed, rows that sum to 1.
      logits: float32 [N, K].

    Returns:
      float32 [N].
    """
    classes = logits.shape[-1]
    smoothed = labels * (1.0 - self.label_smoothing) + self.label_smoothing / classes
    log_p = keras.ops.log_softmax(logits, axis=-1)
    terms = smoothed * log_p
    if self.gamma > 0:
      doubt = keras.ops.maximum(1.0 - keras.ops.exp(log_p), SMALLEST_DOUBT)
      terms = terms * keras.ops.power(doubt, self.gamma)
    losses = -keras.ops.sum(terms, axis=-1)
    if self.class_weights is None:
      return losses
    weights = keras.ops.convert_to_tensor(self.class_weights, dtype=logits.dtype)
    return losses * keras.ops.sum(labels * weights, axis=-1)

  def get_config(self) -> dict:
    return {
      **super().get_config(),
      'label_smoothing': self.label_smoothing,
      'gamma': self.gamma,
      'class_weights': self.class_weights,
    }


def build(train: TrainConfig, class_weights: np.ndarray | None) -> keras.losses.Loss:
  """Returns the loss, from labels and logits, float32 [N, K] each, to float32 [].

  Args:
    train: loss, focal_gamma and label_smoothing are read.
    class_weights: float32 [K], finite and not negative, or None for equal ones.

  Raises:
    TrainingError: for weights that no loss can use.
  """
  weights = None
  if class_weights is not None:
    values = np.asarray(class_weights, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
      raise TrainingError(
        f'class weights: expected one finite number of at least 0 a class. Received: {values}.'
      )
    weights = [float(value) for value in values]
  gamma = train.focal_gamma if train.loss == 'focal' else 0.0
  return WeightedCrossEntropy(train.label_smoothing, gamma, weights)
