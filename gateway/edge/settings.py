"""Settings of the edge: PERGOLA_EDGE_*, and what it shares with the services."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from services.runtime.settings import Address, Addresses, Settings, is_loopback


class EdgeSettings(Settings, frozen=True, kw_only=True):
    """Settings of the WebSocket edge."""

    listen: Annotated[Address, Meta(description="host:port of the listener; port 0 takes a free one.")] = "127.0.0.1:0"
    chat_address: Annotated[Addresses, Meta(description="host:port of the chat service; commas: replicas.")]
    callers_file: Annotated[
        Path | None, Meta(description="Who may call; chat reads it. Unset: the edge listens on loopback only.")
    ] = None
    tls_certificate_file: Annotated[Path | None, Meta(description="PEM chain shown to chat (mutual TLS).")] = None
    tls_key_file: Annotated[Path | None, Meta(description="PEM private key of tls_certificate_file.")] = None
    tls_peer_ca_file: Annotated[
        Path | None, Meta(description="PEM of the CA that signs chat; set: it is called over TLS.")
    ] = None
    tls_peer_name: Annotated[
        str | None, Meta(description="Name expected in chat's certificate, if it is not the host of its address.")
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="From `warning` on, connections that went well are not logged."),
    ] = "info"

    max_connections: Annotated[int, Meta(ge=1, description="Connections held at once; more are answered with 503.")] = (
        5000
    )
    max_frame_bytes: Annotated[
        int, Meta(ge=1024, le=2**28, description="Largest frame a client may send; a larger one closes with 1009.")
    ] = 4 * 2**20
    waiting_frames: Annotated[
        int, Meta(ge=1, le=10_000, description="Frames kept while chat is busy; then the client's socket is not read.")
    ] = 16
    ping_seconds: Annotated[
        float, Meta(ge=0.05, le=3600, description="Seconds without a frame from the client after which it is pinged.")
    ] = 20.0
    pong_seconds: Annotated[
        float, Meta(ge=0.05, le=600, description="Seconds the answer to a ping may take before the client is gone.")
    ] = 10.0
    stall_seconds: Annotated[
        float, Meta(ge=0.05, le=3600, description="Seconds a client may refuse to take what is sent to it.")
    ] = 60.0
    idle_seconds: Annotated[
        float, Meta(ge=0.1, le=86_400, description="Seconds without a turn after which a conversation is closed.")
    ] = 900.0
    conversation_seconds: Annotated[
        float, Meta(ge=1, le=604_800, description="Longest conversation; it is the deadline of the call to chat.")
    ] = 21_600.0
    drain_seconds: Annotated[
        float, Meta(ge=0, description="Seconds that answers under way get to finish at a stop.")
    ] = 20.0

    def problems(self) -> list[str]:
        """What is wrong with the fields together."""
        found = []
        if self.callers_file is None and not is_loopback(self.listen):
            found.append("listen: only a loopback address is allowed without callers_file")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            found.append("tls_certificate_file and tls_key_file: both or neither")
        if self.tls_peer_ca_file is None and (self.tls_peer_name or self.tls_certificate_file):
            found.append("tls_peer_name and tls_certificate_file: need tls_peer_ca_file")
        return found
