"""The four services, what they stand on (runtime) and how they reach models (providers)."""

import os

# grpcio reads this when it is imported, so it stands here, before any import of it. Since 1.80 its sockets are polled
# by threads of their own, which hand each event on to the thread that waits for calls: two more wake-ups a call, a
# fifth of all that an empty call costs (docs/runtime.md). This is the way of 1.79.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client")
