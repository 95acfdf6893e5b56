"""C2PA content credentials: who made a file, signed with a certificate of this Gesso's own. No public authority stands behind it, and it
does not pretend so. What it needs is loaded when it is asked for.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gesso import __version__
from gesso.errors import OutputError, UsageError
from gesso.wire.home import Home

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

State = Literal["own", "other", "broken", "unchecked"]
INSTALL = "pip install 'gesso[credentials]' brings what it needs."
YEARS = 10
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_PNG, _CHUNK = b"\x89PNG\r\n\x1a\n", b"caBX"
_KEY, _CHAIN, _ANCHOR = "leaf.key", "chain.pem", "authority.pem"


@dataclass(frozen=True)
class Credentials:
    """What stands in a file, as far as it could be checked."""

    state: State
    said: str


def require() -> None:
    """Refuse, before any work is done, what could not be signed at its end."""
    missing = [name for name in ("c2pa", "cryptography") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError("Content credentials are not installed.", field="credentials", hint=INSTALL)


def signed(content: bytes, title: str) -> bytes:
    """A PNG with credentials in it, which is all that is added: `without` gives ``content`` back."""
    if not content.startswith(_PNG):
        raise OutputError(f"{title} is no PNG; credentials go into PNG files only.", field="credentials", hint="Leave --credentials out.")
    import c2pa

    folder = _authority(Home.find().state / "credentials")
    manifest = {
        "claim_generator_info": [{"name": "Gesso", "version": __version__}],
        "title": title,
        "format": "image/png",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [_created()]}}],
    }
    settings = c2pa.Settings.from_json(json.dumps({"builder": {"thumbnail": {"enabled": False}}}))
    key, chain = (folder / name for name in (_KEY, _CHAIN))
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain.read_bytes(), key.read_bytes(), None))
    target = io.BytesIO()
    try:
        c2pa.Builder(json.dumps(manifest), context=c2pa.Context(settings=settings)).sign(signer, "image/png", io.BytesIO(content), target)
    except c2pa.C2paError as fault:
        raise OutputError(f"{title} could not be signed: {fault}.", field="credentials", hint=f"See the keys in {folder}.") from fault
    return target.getvalue()


def checked(content: bytes) -> Credentials | None:
    """What the credentials in a file are worth; None where it has none."""
    if _CHUNK not in (kind for kind, _ in _chunks(content)):
        return None
    if importlib.util.find_spec("c2pa") is None:
        return Credentials("unchecked", f"it carries content credentials, which cannot be checked here. {INSTALL}")
    import c2pa

    anchor = Home.find().state / "credentials" / _ANCHOR
    trust = {"trust": {"trust_anchors": anchor.read_text()}} if anchor.is_file() else {}
    settings = c2pa.Settings.from_json(json.dumps({**trust, "verify": {"verify_trust": True}}))
    try:
        found = json.loads(c2pa.Reader("image/png", io.BytesIO(content), context=c2pa.Context(settings=settings)).json())
    except (c2pa.C2paError, ValueError) as fault:
        return Credentials("broken", f"its content credentials cannot be read: {fault}")
    signature = found["manifests"][found["active_manifest"]].get("signature_info", {})
    if found["validation_state"] == "Trusted" and signature.get("common_name") == _subject(anchor.parent / _CHAIN):
        return Credentials("own", "signed by this Gesso, not by a public authority")
    if found["validation_state"] == "Invalid":
        codes = ", ".join(sorted({status["code"] for status in found.get("validation_status", ())})) or "no reason given"
        return Credentials("broken", f"its content credentials do not hold, the file was changed since it was signed ({codes})")
    signer = " of ".join(filter(None, (signature.get("common_name"), signature.get("issuer")))) or "nobody named"
    return Credentials("other", f"signed by {signer}, whom this Gesso does not know")


def without(content: bytes) -> bytes:
    """The file as it was before it was signed; what carries no credentials as it is."""
    chunks = list(_chunks(content))
    if _CHUNK not in (kind for kind, _ in chunks):
        return content
    length = sum(len(raw) for _, raw in chunks)
    return _PNG + b"".join(raw for kind, raw in chunks if kind != _CHUNK) + content[len(_PNG) + length :]


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of every whole chunk of a PNG, to its end."""
    at = len(_PNG) if content.startswith(_PNG) else len(content)
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        after = at + 12 + length
        if after > len(content):
            return
        kind = content[at + 4 : at + 8]
        yield kind, content[at:after]
        if kind == b"IEND":
            return
        at = after


def _created() -> dict[str, Any]:
    return {"action": "c2pa.created", "digitalSourceType": SOURCE, "softwareAgent": {"name": "Gesso", "version": __version__}}


# ---- the authority ----


def _authority(folder: Path) -> Path:
    """The folder with key and certificates; made at the first signature, whole or not at all."""
    if not (folder / _CHAIN).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".credentials-", dir=folder.parent))  # 0700
        try:
            _issue(beside)
            os.rename(beside, folder)
        except OSError as fault:
            if not (folder / _CHAIN).is_file():  # another command may have been first
                raise OutputError(f"The certificate cannot be kept in {folder}: {fault.strerror}.", field="credentials") from fault
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def _issue(folder: Path) -> None:
    """An authority of our own and what it vouches for. Its key is thrown away, so that nothing else is ever signed with it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    top, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ours = f"Gesso {os.urandom(4).hex()}"
    root = f"{ours}, local authority"
    leaf = _certificate(ours, key, root, top, authority=False)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
    parts = [_signed_by(leaf, top), _signed_by(_certificate(root, top, root, top, authority=True), top)]
    chain = [part.public_bytes(serialization.Encoding.PEM) for part in parts]
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, content in ((_KEY, private), (_ANCHOR, chain[1]), (_CHAIN, b"".join(chain))):
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)


def _certificate(
    subject: str, key: EllipticCurvePrivateKey, issuer: str, signer: EllipticCurvePrivateKey, *, authority: bool
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    none = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    usage = x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **dict.fromkeys(none, False))
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def _signed_by(certificate: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return certificate.sign(key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gesso"), x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _subject(chain: Path) -> str | None:
    """Whom our own certificate names."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    if not chain.is_file():
        return None
    names = x509.load_pem_x509_certificates(chain.read_bytes())[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value)
