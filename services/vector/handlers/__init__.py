"""One module a gRPC service: translate, call, translate back."""
