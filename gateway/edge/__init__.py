"""The WebSocket edge: /ws/chat on one side, chat's Converse on the other, and nothing else.

Envoy ends the caller's connection, checks Host and Origin and passes the upgrade on; a browser can then hold a
conversation without gRPC. One connection is one Converse call.
"""

# Sets how gRPC polls, which has to be done before gRPC is imported.
import services  # noqa: F401
