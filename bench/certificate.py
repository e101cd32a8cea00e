"""A certificate for the servers that speak TLS: self-signed, P-256, made anew with each run."""

import functools
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from run_folder import CONFIGURATIONS, HOST
from server import PATH, program
from trouble import Trouble


@dataclass(frozen=True)
class Certificate:
    """The files for a server, and what a client needs to trust it."""

    chain: Path
    key: Path
    trust: ssl.SSLContext


@functools.cache
def certificate() -> Certificate:
    """The run's certificate. Raises Trouble when it cannot be made."""
    openssl = program("openssl")
    if not openssl:
        raise Trouble("a certificate is made by openssl; install it")
    chain, key = CONFIGURATIONS / "certificate.pem", CONFIGURATIONS / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
    command = [openssl, "req", "-x509", *curve, "-nodes", "-days", "30", *names, "-keyout", key, "-out", chain]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PATH": PATH}, timeout=30, check=False)
    if ran.returncode:
        raise Trouble(f"openssl made no certificate: {ran.stderr.strip()}")
    trust = ssl.create_default_context(cafile=str(chain))
    trust.minimum_version = ssl.TLSVersion.TLSv1_3
    return Certificate(chain, key, trust)
