"""Asks over TLS again and again, each time on a new connection, until it has seen as many certificates as it was told.

Runs in a pod: standard library only. Arguments: host, path, certificates. Prints a line after the first answer, and in
the end what was answered under which certificate.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import sys
import time

MOST_SECONDS = 120.0
REQUESTS_AFTERWARDS = 50


def main(host: str, path: str, wanted: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    failures: list[str] = []
    certificates: list[str] = []
    count, left, end = 0, REQUESTS_AFTERWARDS, time.monotonic() + MOST_SECONDS
    while left and time.monotonic() < end:
        count, left = count + 1, left - (len(certificates) >= wanted)
        try:
            certificates = noted(certificates, ask(host, path, context))
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(repr(error))
        if count == 1:
            print("asked", flush=True)
        time.sleep(0.02)
    print(json.dumps({"requests": count, "failures": failures, "certificates": certificates}))


def ask(host: str, path: str, context: ssl.SSLContext) -> str:
    """SHA-256 of the certificate under which a 200 came; raises ValueError for another answer."""
    connection = http.client.HTTPSConnection(host, 443, context=context, timeout=10)
    try:
        connection.request("GET", path)
        found = connection.sock.getpeercert(binary_form=True) or b""
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        return hashlib.sha256(found).hexdigest()
    finally:
        connection.close()


def noted(known: list[str], found: str) -> list[str]:
    return known if found in known else [*known, found]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
