"""The gRPC port: the services, and the standard health service beside them."""

import concurrent.futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from schemas.errors import ServingError
from serving import grpc_api
from serving.inference import Inference
from serving.tls import Tls

# Requests that are worked on at once.
_THREADS = 32


class GrpcServer:
  """Listens on a port, on a Unix socket, or on both.

  Attributes:
    port: that it listens on; chosen by the system where 0 was asked for.
  """

  def __init__(
    self,
    inference: Inference,
    host: str,
    port: int,
    socket_path: str = '',
    tls: Tls | None = None,
  ):
    """Opens the port; nothing is answered before `start`.

    Raises:
      ServingError: the port or the socket is taken.
    """
    size = inference.limits.body_bytes
    self._server = grpc.server(
      concurrent.futures.ThreadPoolExecutor(_THREADS, 'grpc'),
      options=[
        ('grpc.max_receive_message_length', size),
        ('grpc.max_send_message_length', -1),
        # Else a second server could bind the same port, and take half of the requests.
        ('grpc.so_reuseport', 0),
      ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
      grpc_api.PredictionService(inference), self._server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
      grpc_api.ModelService(inference), self._server
    )
    self._health = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
    self._tell_health(health_pb2.HealthCheckResponse.NOT_SERVING)
    shown = f'[{host}]' if ':' in host else host
    self.port = self._bind(f'{shown}:{port}', tls)
    if socket_path:
      self._bind(f'unix:{socket_path}', None)

  def _bind(self, address: str, tls: Tls | None) -> int:
    try:
      if tls is None:
        port = self._server.add_insecure_port(address)
      else:
        port = self._server.add_secure_port(address, tls.of_grpc())
    except (RuntimeError, OverflowError) as error:
      raise ServingError(
        f'{address}: expected an address that is free. Received: {error}. '
        'Stop what listens there, or choose another with --grpc-port (0 for any free one).'
      ) from error
    return port

  def start(self) -> None:
    """Answers from here on, and says so."""
    self._server.start()
    self._tell_health(health_pb2.HealthCheckResponse.SERVING)

  def drain(self) -> None:
    """Says that it is about to stop, and answers on."""
    self._health.enter_graceful_shutdown()

  def stop(self, grace_seconds: float) -> None:
    """Answers what is under way, then ends; for good after the grace."""
    self._server.stop(grace_seconds).wait()

  def _tell_health(self, status) -> None:
    for service in (
      '',
      *grpc_api.SERVICES,
      *(name.rpartition('.')[2] for name in grpc_api.SERVICES),
    ):
      self._health.set(service, status)
