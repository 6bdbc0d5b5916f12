"""One model as the gateway reaches it: its address, its connections, what is known of its health and load."""

from __future__ import annotations

import os
from collections.abc import Callable

from serve.errors import ParlanceError, Unavailable
from serve.fleet import Fleet, Model
from serve.fleet.gateway import Timeouts
from serve.gateway.client import Origin, Pool
from serve.gateway.exchange import Exchange
from serve.gateway.waits import Waits
from serve.routing.cost import rates
from serve.routing.records import Endpoint, ModelState

NOT_PROBED = "not probed yet"


class Upstream:
    """A model's engine. `state` is what `decide` reads; `waiting` are requests without a byte of an answer yet."""

    def __init__(self, model: Model, fleet: Fleet, timeouts: Timeouts) -> None:
        self.model = model
        self.origin = Origin.of(fleet.base_url(model))
        self.price = rates(model)
        self.pool = Pool(self.origin, timeouts.connect_s)
        # An engine of ours is unhealthy until it says otherwise; nobody asks a foreign endpoint for its health.
        self.probed = model.upstream is None
        self.state = ModelState(healthy=not self.probed, reason=NOT_PROBED if self.probed else "")
        self.probed_at = 0.0  # when the last probe was over, in seconds since the epoch; 0: none was
        self.waiting: set[Exchange] = set()
        self.waits = Waits()
        self.remote_name = (model.upstream.model if model.upstream else None) or model.id
        self._head = {endpoint: self._request_head(endpoint) for endpoint in Endpoint}
        self.health_request = self._get(b"/health")

    def _authorization(self) -> bytes:
        variable = self.model.upstream.api_key_env if self.model.upstream else None
        key = os.environ.get(variable, "") if variable else ""
        return b"authorization: Bearer %s\r\n" % key.encode("latin-1", "replace") if key else b""

    def _request_head(self, endpoint: Endpoint) -> bytes:
        path = f"{self.origin.prefix}/v1/{endpoint.value}"
        return (
            b"POST %s HTTP/1.1\r\nhost: %s\r\nuser-agent: parlance\r\ncontent-type: application/json\r\naccept: */*\r\n"
            % (path.encode(), self.origin.host_header)
            + self._authorization()
        )

    def _get(self, path: bytes) -> bytes:
        target = self.origin.prefix.encode() + path
        return b"GET %s HTTP/1.1\r\nhost: %s\r\nuser-agent: parlance-health\r\naccept: */*\r\n\r\n" % (
            target,
            self.origin.host_header,
        )

    async def post(
        self,
        endpoint: Endpoint,
        body: bytes,
        *,
        request_id: str,
        extra: bytes,
        limit_s: float,
        opened: Callable[[Exchange], None],
    ) -> Exchange:
        """The exchange of a request on the wire; `extra` are header lines. Raises Unavailable."""
        head = b"%sx-request-id: %s\r\n%scontent-length: %d\r\n\r\n" % (
            self._head[endpoint],
            request_id.encode(),
            extra,
            len(body),
        )
        return await self.pool.send(head + body, limit_s, opened)

    def went_down(self, reason: str) -> None:
        """No replica answers: requests that still wait for their first byte would wait in vain."""
        self.state.healthy = False
        self.state.reason = reason
        for exchange in tuple(self.waiting):
            exchange.fail(engine_down(self.model.id))

    def look_at_queue(self, now: float) -> None:
        """Brings `state.wait_s` up to date. `now` is the loop's time."""
        oldest = max((now - exchange.last for exchange in self.waiting if exchange.streamed), default=0.0)
        self.state.wait_s = round(self.waits.expected(now, oldest), 3)

    def came_up(self) -> None:
        """A replica answers again."""
        self.state.healthy = True
        self.state.reason = ""


def engine_down(model_id: str) -> ParlanceError:
    """What a caller is told while a model has no replica that answers. An engine starts in a minute or so."""
    return Unavailable(f"no replica of {model_id} answers at the moment: it is starting again", retry_after_s=5)
