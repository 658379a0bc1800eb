"""`python -m local.gateway_check`: has Envoy itself judge the configuration that the gateway would start with."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from local import settings
from local.components.component import plain_environ
from local.components.envoy import envoy_binary
from local.system.ports import LOOPBACK


def main() -> int:
    """Renders with an address for every part, and validates; returns Envoy's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "envoy.yaml")
        parts = (*settings.SERVICES, "edge")
        addresses = {f"PERGOLA_{part.upper()}_ADDRESS": f"{LOOPBACK}:{20_000 + n}" for n, part in enumerate(parts)}
        own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
        render = [sys.executable, "-m", "gateway.render", "--output", str(configuration)]
        if code := subprocess.run(render, cwd=settings.CHECKOUT, env=own | addresses, check=False).returncode:
            return code
        binary = envoy_binary(settings.load(os.environ))
        validate = [str(binary), "--mode", "validate", "--config-path", str(configuration), "--log-level", "error"]
        return subprocess.run(validate, cwd=folder, env=plain_environ(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
