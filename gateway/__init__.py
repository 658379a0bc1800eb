"""The gateway: Envoy's configuration, made from the contracts and the settings, and the WebSocket edge beside it."""
