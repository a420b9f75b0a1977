"""A server of HTTP/2 over a connection that is encrypted already."""

import ssl
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events

Answer = Callable[[h2.connection.H2Connection, int], None]
"""Answers the request of one stream."""


def serve_http2(answer: Answer) -> Callable[[ssl.SSLSocket], None]:
    """Return what serves a connection: `answer` is called for each request that is complete."""

    def serve(connection: ssl.SSLSocket) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, validate_outbound_headers=False))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    state.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                if isinstance(event, h2.events.StreamEnded):
                    answer(state, event.stream_id or 0)
            connection.sendall(state.data_to_send())

    return serve


def answer_with(body: bytes, *headers: tuple[str, str]) -> Answer:
    """Return what answers with `body`."""

    def answer(state: h2.connection.H2Connection, stream: int) -> None:
        state.send_headers(stream, [(":status", "200"), *headers])
        state.send_data(stream, body, end_stream=True)

    return answer


def break_off(state: h2.connection.H2Connection, stream: int) -> None:
    """Answer with a part of a body, and end the stream with an error."""
    state.send_headers(stream, [(":status", "200")])
    state.send_data(stream, b"par")
    state.reset_stream(stream)
