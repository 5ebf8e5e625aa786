"""Who answered, told beside the answer and never in it.

The same names are headers of REST and trailing metadata of gRPC.
"""

import re
import secrets

from serving.calls import Answer

MODEL_VERSION = 'x-model-version'
MODEL_SHA256 = 'x-model-sha256'
REQUEST_ID = 'x-request-id'
FALLBACK = 'x-fallback'

# What a log and a header can hold; anything else is replaced by one of our own.
_REQUEST_ID = re.compile(r'[A-Za-z0-9._:-]{1,128}')


def request_id(given: str | None) -> str:
  """Returns the client's own id of its request, or a new one."""
  if given and _REQUEST_ID.fullmatch(given):
    return given
  return secrets.token_hex(8)


def of(answer: Answer, request: str) -> dict[str, str]:
  """Returns the headers of an answer."""
  headers = {MODEL_VERSION: str(answer.version), REQUEST_ID: request}
  if answer.sha256:
    headers[MODEL_SHA256] = answer.sha256
  if answer.fallback:
    headers[FALLBACK] = answer.fallback
  return headers
