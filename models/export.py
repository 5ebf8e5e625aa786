"""Exports a trained classifier as the SavedModel that TensorFlow Serving loads.

Through keras.export.ExportArchive: what tf.saved_model.save writes of a Keras 3
model loads in Python and fails in TensorFlow Serving's session loader.
"""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_transform as tft

from models import classifier, decoder, known_images, proof, proof_writing, warm_up_writing
from models import decision as decisions
from schemas import features, signatures, weights_hash
from schemas.config import Config


def export(
  model: keras.Model,
  transform: tft.TFTransformOutput,
  transform_layer,
  config: Config,
  labels: list[str],
  known: known_images.KnownImages,
  folder: pathlib.Path,
  run_id: str = '',
  decision: decisions.Decision | None = None,
  network: Callable | None = None,
) -> None:
  """Writes the export with its three signatures, its identity and its proof.

  `serving_default` takes encoded images, `serving_examples` serialised raw
  records; both answer through one inner function. `transform_features` gives the
  Evaluator its label ids.

  Args:
    model: float32 [N, height, width, 3], 0..255, to logits float32 [N, K], by way of a
      layer `features`.
    transform: Transform's output, for the raw feature spec.
    transform_layer: its transform_features_layer().
    config: size and fit of the input; stored with the export.
    labels: the K labels by id.
    known: the model's features on train.
    folder: where to write; replaced if it exists.
    run_id: of the run that trained the model.
    decision: how logits become an answer; by default by softmax alone.
    network: network(pixels, training=False) gives pooled features and logits by the model's
      variables; by default as the model does. The self test plants faults here.
  """
  image = config.image
  decided = decision or decisions.Decision.plain(len(labels))
  raw_spec = transform.raw_feature_spec()
  both = network or classifier.to_features_and_logits(model)
  distance = known_images.Distance(known)

  # Traced once, for both signatures: the network is most of the export's time.
  @tf.function(
    input_signature=[tf.TensorSpec([None], tf.string, signatures.IMAGE_BYTES)], autograph=False
  )
  def answer(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
    pixels = decoder.decode_batch(image_bytes, image)
    pooled, logits = both(pixels, training=False)
    return decisions.answer(decided, logits, distance(pooled), labels)

  @tf.function(
    input_signature=[tf.TensorSpec([None], tf.string, signatures.EXAMPLES)], autograph=False
  )
  def serve_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
    # Only the image is parsed: a client need not know the label.
    parsed = tf.io.parse_example(examples, {features.IMAGE: tf.io.FixedLenFeature([], tf.string)})
    return answer(parsed[features.IMAGE])

  @tf.function(
    input_signature=[tf.TensorSpec([None], tf.string, signatures.EXAMPLES)], autograph=False
  )
  def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
    transformed = transform_layer(tf.io.parse_example(examples, raw_spec))
    return {features.LABEL_ID: transformed[features.LABEL_ID]}

  archive = keras.export.ExportArchive()
  # For its lookup table. The model is left to its endpoints, whose variables are
  # saved anyway: tracked as well, it would be stored a second time.
  archive.track(transform_layer)
  for name, endpoint in (
    (signatures.SERVING_DEFAULT, answer),
    (signatures.SERVING_EXAMPLES, serve_examples),
    (signatures.TRANSFORM_FEATURES, transform_features),
  ):
    _order_variables(
      endpoint.get_concrete_function().graph,
      [*(variable.value for variable in model.variables), *distance.variables],
    )
    archive.add_endpoint(name, endpoint)
  if folder.exists():
    shutil.rmtree(folder)
  # Nobody trains what is served. TensorFlow would trace the gradient of every
  # activation that has one of its own: a third of the time.
  options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
  archive.write_out(str(folder), options=options, verbose=False)
  write_identity(folder, config, labels, run_id, decided)
  warm_up_writing.write(folder)
  # Of the model, not of `network`: what the export runs is to be held against it.
  proof_writing.write(
    folder,
    lambda pixels: model(pixels, training=False),
    decided,
    image,
    proof.NARROW_LIMIT if proof_writing.is_narrow(model) else proof.LIMIT,
  )


def write_identity(
  folder: pathlib.Path,
  config: Config,
  labels: list[str],
  run_id: str,
  decision: decisions.Decision,
) -> None:
  """Writes assets.extra/sightline.json."""
  extra = folder / signatures.EXTRA_FOLDER
  extra.mkdir(exist_ok=True)
  (extra / signatures.IDENTITY_FILE).write_text(
    json.dumps(
      {
        'run_id': run_id,
        'config': config.model_dump(mode='json', by_alias=True),
        'labels': labels,
        'decision': dataclasses.asdict(decision),
        'weights_sha256': weights_hash.weights_sha256(folder),
      },
      indent=2,
    )
    + '\n',
    encoding='utf-8',
  )


def _order_variables(graph, ordered: list[tf.Variable]) -> None:
  """Gives the variables of a traced function a fixed order.

  TensorFlow lists them as it finds them in a set, in another order in each process,
  and they are stored in that order: equal weights would have different hashes.
  """
  known = {id(variable): place for place, variable in enumerate(ordered)}
  graph.variables = sorted(graph.variables, key=lambda v: known.get(id(v), len(known)))
