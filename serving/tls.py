"""Keys and certificates of the server, from files."""

import dataclasses
import pathlib
import ssl

import grpc

from schemas.errors import ServingError


@dataclasses.dataclass(frozen=True)
class Tls:
  """Files in PEM form.

  Attributes:
    key: the server's private key, without a passphrase.
    certificate: the server's certificate, with those that vouch for it.
    client_ca: of whom a client must bring a certificate; None where any may ask.
  """

  key: pathlib.Path
  certificate: pathlib.Path
  client_ca: pathlib.Path | None = None

  def check(self) -> None:
    """Loads them once, so that a mistake is told before anything listens.

    Raises:
      ServingError: a file cannot be read, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
      context.load_cert_chain(self.certificate, self.key)
      if self.client_ca is not None:
        context.load_verify_locations(self.client_ca)
    except (OSError, ssl.SSLError) as error:
      files = ', '.join(str(path) for path in (self.key, self.certificate, self.client_ca) if path)
      raise ServingError(
        f'{files}: expected a private key and its certificate in PEM form. Received: {error}.'
      ) from error

  def of_uvicorn(self) -> dict:
    """Returns the settings of the REST port."""
    settings = {'ssl_keyfile': str(self.key), 'ssl_certfile': str(self.certificate)}
    if self.client_ca is None:
      return settings
    return settings | {'ssl_ca_certs': str(self.client_ca), 'ssl_cert_reqs': ssl.CERT_REQUIRED}

  def of_grpc(self) -> grpc.ServerCredentials:
    """Returns the credentials of the gRPC port."""
    return grpc.ssl_server_credentials(
      [(self.key.read_bytes(), self.certificate.read_bytes())],
      root_certificates=self.client_ca.read_bytes() if self.client_ca else None,
      require_client_auth=self.client_ca is not None,
    )
