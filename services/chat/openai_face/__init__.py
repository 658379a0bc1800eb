"""The OpenAI-compatible face: bodies relayed to providers that speak the protocol, and made here for the others."""
