"""What is true of the endpoint's certificate, as the routers say: the operator itself reads no Secret."""

from datetime import UTC, datetime, timedelta

from sluice_operator.planning.observed import Certificate
from sluice_operator.planning.situation import Situation

SOON = timedelta(days=7)
"""A certificate that expires so soon should have been renewed: whoever does that has a month's third left as a rule."""


def certificates(s: Situation) -> list[Certificate | None]:
    """What each router in service serves TLS with, None for one that has nothing to serve it with."""
    return [pod.certificate for pod in s.observed.router.pods if pod.ready and pod.config_version is not None]


def lacking(s: Situation) -> bool:
    """Whether TLS is asked for and a router has no certificate; nobody tells when it comes."""
    return s.resource.spec.endpoint.tls is not None and not all(certificates(s))


def judge(s: Situation) -> tuple[bool, str, str]:
    """Whether TLS is served as it should be, and why, in a word and in a sentence; asked only where TLS is wanted."""
    tls, found = s.resource.spec.endpoint.tls, certificates(s)
    secret = tls.secret_ref.name if tls else ""
    served = [certificate for certificate in found if certificate]
    if not found or len(served) < len(found):
        message = f"{len(served)} of {len(found)} routers have a certificate: "
        message += f"is there a Secret {secret} with a tls.crt and a tls.key that fit?"
        return False, "CertificateMissing", message
    first = min(served, key=lambda certificate: certificate.expires_at)
    expires = datetime.fromtimestamp(first.expires_at, UTC)
    message = f"the certificate of Secret {secret} is valid until {expires:%Y-%m-%d %H:%M} UTC"
    if any(certificate.refused for certificate in served):
        message += "; since the routers started, one that came in its place was broken and was not taken"
    if expires - s.now < SOON:
        return False, "CertificateExpired" if expires < s.now else "CertificateExpiring", message
    return True, "CertificateLoaded", message
