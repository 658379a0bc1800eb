"""The gRPC services of chat: each translates, calls the domain, translates back."""
