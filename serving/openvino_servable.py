"""A version whose network OpenVINO runs; everything else is TensorFlow's, as before.

The export's own decoder turns bytes or records into pixels, OpenVINO does the rest. What it
does not cover, such as transform_features, runs in the session of serving.servable. A version
is refused where the two do not answer alike.
"""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from models.formats import description, openvino_file, parity
from models.formats.export_graph import ExportGraph
from schemas import signatures
from schemas.errors import ExportError, ServingError
from schemas.weights_hash import read_identity
from serving.servable import Servable

# Of a version, where `sightline model export --into-version` leaves the network.
FOLDER = 'assets.extra/openvino'
# Largest difference of a probability at load: of float32 from what TensorFlow says, of 8 bits
# from what they said when their accuracy was measured. Another processor may round otherwise.
LIMIT = 1e-3
GATE_ANSWERS = 'gate_answers'
_COVERED = (signatures.SERVING_DEFAULT, signatures.SERVING_EXAMPLES)
# Height and width of the pictures of the gate, in pixels.
_SIZES = ((8, 8), (30, 40), (64, 48), (120, 90), (224, 224), (33, 200))

_AGAIN = (
  'Or export the network on this machine: sightline model export VERSION --format openvino '
  '--into-version'
)

Network = Callable[[np.ndarray], dict[str, np.ndarray]]
Decode = Callable[[np.ndarray], np.ndarray]


class OpenVinoServable(Servable):
  """A version, with the network on OpenVINO; the same face as Servable.

  The network comes from FOLDER, where the version has it; otherwise it is converted when the
  version is loaded.

  Attributes:
    precision: of the network, `float32` or `int8`.
  """

  def __init__(self, path: pathlib.Path | str):
    """Loads the export, and compares both on a few pictures.

    Raises:
      ExportError: as Servable; OpenVINO is not installed; the stored network is of other
        weights; or the answers differ.
      OSError: its variables cannot be read.
    """
    super().__init__(path)
    self.precision = description.FLOAT32
    self._decoders: dict[str, Decode] = {}
    self._closing: list[Callable[[], None]] = []
    try:
      self._labels = np.array(
        [label.encode() for label in read_identity(self.path)['labels']], object
      )
      self._take_over()
    except BaseException:
      self.close()
      raise

  def run(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs one signature; see Servable.run."""
    decode = self._decoders.get(signature_name)
    if decode is None:
      return super().run(signature_name, inputs)
    signature = self.signature(signature_name)
    (name,) = signature.inputs
    if name not in inputs:
      raise ServingError(f'{signature_name}: expected the inputs {name}. Missing: {name}.')
    pixels = decode(np.asarray(inputs[name], object))
    if not len(pixels):
      return super().run(signature_name, inputs)
    outputs = self._network(pixels)
    if signatures.PREDICTED_LABEL in signature.outputs:
      outputs[signatures.PREDICTED_LABEL] = self._labels[outputs[signatures.CLASS_ID]]
    return {name: outputs[name] for name in sorted(signature.outputs)}

  def close(self) -> None:
    """Frees the sessions; `run` fails from here on."""
    for close in self._closing:
      close()
    super().close()

  def _take_over(self) -> None:
    graph = ExportGraph(self.path)
    self._network, recorded = self._find_network(graph)
    decoders = {}
    for name in _COVERED:
      if name in self.signatures:
        decoders[name] = graph.decoder(name)
        self._closing.append(decoders[name].close)
    if signatures.SERVING_DEFAULT not in decoders:
      raise ExportError(f'{self.path}: expected the signature {signatures.SERVING_DEFAULT}.')
    self._compare(decoders[signatures.SERVING_DEFAULT], recorded)
    self._decoders = dict(decoders)

  def _find_network(self, graph: ExportGraph) -> tuple[Network, list | None]:
    """Returns the network, and what it said about the pictures where 8 bits were measured."""
    folder = self.path / FOLDER
    if not folder.is_dir():
      return openvino_file.Runner(openvino_file.convert(graph.network())), None
    found = description.read(folder)
    if found['weights_sha256'] != self.weights_sha256:
      raise ExportError(
        f'{folder}: expected the network of these weights. Received: one of others. {_AGAIN}'
      )
    self.precision = found['precision']
    return openvino_file.load(folder), found.get(GATE_ANSWERS)

  def _compare(self, decode: Decode, recorded: list | None) -> None:
    images = pictures()
    # No decoder was taken over yet: this is TensorFlow.
    expected = self.run(signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: images})
    pixels = decode(images)
    # One image takes another way through OpenVINO than several.
    singles = [self._network(pixels[row : row + 1]) for row in range(len(pixels))]
    if recorded is not None:
      probabilities = np.array(recorded, np.float32)
      expected = {**expected, signatures.PROBABILITIES: probabilities}
    one_by_one = {name: np.concatenate([one[name] for one in singles]) for name in singles[0]}
    differences = [
      parity.compare(expected, received).max_difference
      for received in (self._network(pixels), one_by_one)
    ]
    # NaN, which max() may pass over, is a difference as well.
    difference = float(np.max(differences))
    if not difference <= LIMIT:
      whom = 'TensorFlow does' if recorded is None else 'when its accuracy was measured'
      raise ExportError(
        f'{self.path}: expected OpenVINO ({self.precision}) to answer as {whom}, within '
        f'{LIMIT:g} of a probability. Received: a difference of {difference:.2g} on made-up '
        f'pictures. Serve it with --backend tensorflow. {_AGAIN}'
      )


def pictures() -> np.ndarray:
  """Returns PNGs of coloured blots and of noise, the same each time: bytes objects [N]."""
  draw = np.random.default_rng(0)
  encoded = []
  for height, width in _SIZES:
    blots = tf.image.resize(draw.uniform(0, 255, (3, 4, 3)), (height, width)).numpy()
    noise = draw.normal(0, 20, (height, width, 3))
    values = np.clip(blots + noise, 0, 255).astype(np.uint8)
    encoded.append(tf.io.encode_png(values).numpy())
  return np.array(encoded, object)
