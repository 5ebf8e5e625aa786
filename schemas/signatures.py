"""Names of the export's signatures, of their tensors, and of the file that identifies it."""

SERVING_DEFAULT = 'serving_default'
SERVING_EXAMPLES = 'serving_examples'
TRANSFORM_FEATURES = 'transform_features'
ALL = (SERVING_DEFAULT, SERVING_EXAMPLES, TRANSFORM_FEATURES)

# Inputs.
IMAGE_BYTES = 'image_bytes'  # string [N], encoded JPEG, PNG, GIF or BMP
EXAMPLES = 'examples'  # string [N], serialised raw tf.Example

# Outputs of serving_default and serving_examples.
PROBABILITIES = 'probabilities'  # float32 [N, K]
CLASS_ID = 'class_id'  # int64 [N]
PREDICTED_LABEL = 'label'  # string [N]
PROBABILITY = 'probability'  # float32 [N], of that label
LOW_CONFIDENCE = 'low_confidence'  # bool [N], a person should look
OOD_SCORE = 'ood_score'  # float32 [N], from 0; about 1 for a known image, higher is more foreign
FOREIGN = 'foreign'  # bool [N], whether that score is above the limit of this export
OUTPUTS = (
  PROBABILITIES,
  CLASS_ID,
  PREDICTED_LABEL,
  PROBABILITY,
  LOW_CONFIDENCE,
  OOD_SCORE,
  FOREIGN,
)

EXTRA_FOLDER = 'assets.extra'
# In that folder of the export: run id, config, labels, weights_sha256.
IDENTITY_FILE = 'sightline.json'
# TensorFlow Serving's name of the requests that it replays before a version answers.
WARM_UP_FILE = 'tf_serving_warmup_requests'
