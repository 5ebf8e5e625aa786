"""Asks a served model about images, by REST, with nothing but Python's own library.

  python examples/clients/ask_rest.py http://127.0.0.1:8501 digits image.png ...

Prints for each the label, its probability and the version that answered.
"""

import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request


def ask(url: str, model: str, images: list[bytes]) -> tuple[list[dict], str]:
  """Returns an answer an image, and the version that gave them."""
  instances = [{'b64': base64.b64encode(image).decode()} for image in images]
  request = urllib.request.Request(
    f'{url}/v1/models/{model}:predict',
    json.dumps({'instances': instances}).encode(),
    {'content-type': 'application/json'},
  )
  with urllib.request.urlopen(request, timeout=30) as response:
    # TensorFlow Serving says no version by REST.
    return json.load(response)['predictions'], response.headers.get('x-model-version', '')


if __name__ == '__main__':
  url, model, *paths = sys.argv[1:]
  try:
    answers, version = ask(url, model, [pathlib.Path(path).read_bytes() for path in paths])
  except urllib.error.HTTPError as error:
    sys.exit(f'HTTP {error.code}: {error.read().decode()}')
  for answer in answers:
    print(answer['label'], answer['probability'], 'version', version)
