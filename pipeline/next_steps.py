"""The commands that are printed after a run; each can be pasted into a shell as it is."""

import pathlib
import shlex


def serve(directory: pathlib.Path | str) -> str:
  """Returns the command that starts the embedded server."""
  return f'sightline serve --directory {shlex.quote(str(directory))}'


def serve_in_docker(directory: pathlib.Path | str, model_name: str) -> str:
  """Returns the command that starts TensorFlow Serving."""
  volume = shlex.quote(f'{directory}:/models/{model_name}')
  return f'docker run --rm -p 8501:8501 -v {volume} -e MODEL_NAME={model_name} tensorflow/serving'


def predict(model_name: str, image: pathlib.Path | str) -> str:
  """Returns the command that asks either of them with Sightline's own client."""
  return f'sightline predict --model {model_name} {shlex.quote(str(image))}'


def curl(model_name: str, image: pathlib.Path | str, url: str = 'http://127.0.0.1:8501') -> str:
  """Returns the command that asks either of them without Sightline."""
  # Through a pipe: the kernel takes no argument above 128 KiB.
  body = (
    '{ printf \'{"instances": [{"b64": "\'; '
    f'base64 -w0 {shlex.quote(str(image))}; '
    "printf '\"}]}'; }"
  )
  return f'{body} | curl -d @- {shlex.quote(f"{url}/v1/models/{model_name}:predict")}'
