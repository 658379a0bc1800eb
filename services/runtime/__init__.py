"""What every Pergola service stands on: start, settings, interceptor, identity, errors, channels, telemetry."""
