"""A SPIFFE Workload API to test with: the protocol and the client are those of PyPI's spiffe, the certificates are made by
cryptography and the tokens by PyJWT, so that none of it is Sluice's own code.

    workload_api.py serve DIRECTORY                 serves at DIRECTORY/api.sock until it is killed
    workload_api.py fetch DIRECTORY NAME AUDIENCE   writes DIRECTORY/NAME.crt, .key and .jwt: what a workload gets there

What it serves follows DIRECTORY/state.json: {"generation": N, "kept": [M], "federated": {"other.acme": ["A.pem", "A.jwks"]}}.
SVIDs are of generation N, and the bundle has the authorities and keys of N and of every kept one.
"""

import datetime
import json
import os
import sys
import time
from concurrent import futures

import grpc
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from spiffe import WorkloadApiClient
from spiffe._proto import workload_pb2 as messages
from spiffe._proto import workload_pb2_grpc as service

TRUST_DOMAIN = "spiffe://prod.acme"
WORKLOAD = TRUST_DOMAIN + "/ns/etl/sa/loader"


def usage(*names):
    known = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    known += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in names for name in known})


def certificate(subject, issuer, public, signer, lifetime, is_ca, uri, uses):
    now = datetime.datetime.now(datetime.timezone.utc)
    name = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    builder = x509.CertificateBuilder().subject_name(x509.Name(name)).public_key(public)
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + lifetime)
    builder = builder.add_extension(x509.BasicConstraints(is_ca, None), True).add_extension(usage(*uses), True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), not subject)
    if not is_ca:
        both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), False)
    return builder.sign(signer, hashes.SHA256())


def der(made):
    return made.public_bytes(serialization.Encoding.DER)


class Generation:
    """One authority, and one key for tokens."""

    def __init__(self, number):
        self.name, self.key, self.kid = f"prod.acme {number}", ec.generate_private_key(ec.SECP256R1()), f"key-{number}"
        day = datetime.timedelta(days=1)
        uses = ["key_cert_sign", "crl_sign"]
        public = self.key.public_key()
        self.authority = certificate(self.name, self.name, public, self.key, day, True, TRUST_DOMAIN, uses)
        self.signer = ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        return {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.signer.public_key())), "kid": self.kid}

    def x509_svid(self):
        key, hour = ec.generate_private_key(ec.SECP256R1()), datetime.timedelta(hours=1)
        uses = ["digital_signature"]
        svid = certificate(None, self.name, key.public_key(), self.key, hour, False, WORKLOAD, uses)
        form = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return der(svid), key.private_bytes(*form)

    def jwt_svid(self, audience):
        now = int(time.time())
        claims = {"sub": WORKLOAD, "aud": list(audience), "iat": now, "exp": now + 300}
        return jwt.encode(claims, self.signer, algorithm="ES256", headers={"kid": self.kid, "typ": "JWT"})


class WorkloadApi(service.SpiffeWorkloadAPIServicer):
    def __init__(self, directory):
        self.directory, self.generations = directory, {}

    def read(self):
        with open(os.path.join(self.directory, "state.json"), "rb") as file:
            return json.load(file)

    def generation(self, number):
        return self.generations.setdefault(number, Generation(number))

    def trusted(self, state):
        return [self.generation(number) for number in [state["generation"], *state["kept"]]]

    def federated(self, state, which):
        for name, files in state["federated"].items():
            with open(os.path.join(self.directory, files[which]), "rb") as file:
                yield "spiffe://" + name, file.read()

    def whenever_it_changes(self, context, answer):
        """Sends the answer, and again whenever the state is another."""
        security = ("workload.spiffe.io", "true")
        if security not in [(entry.key, entry.value) for entry in context.invocation_metadata()]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the security header is missing")
        sent = None
        while context.is_active():
            state = self.read()
            if state != sent:
                sent = state
                yield answer(state)
            time.sleep(0.02)

    def FetchX509SVID(self, request, context):
        def answer(state):
            svid, key = self.generation(state["generation"]).x509_svid()
            bundle = b"".join(der(each.authority) for each in self.trusted(state))
            entry = messages.X509SVID(spiffe_id=WORKLOAD, x509_svid=svid, x509_svid_key=key, bundle=bundle)
            return messages.X509SVIDResponse(svids=[entry])

        yield from self.whenever_it_changes(context, answer)

    def FetchX509Bundles(self, request, context):
        def answer(state):
            bundles = {TRUST_DOMAIN: b"".join(der(each.authority) for each in self.trusted(state))}
            for name, pem in self.federated(state, 0):
                bundles[name] = b"".join(der(each) for each in x509.load_pem_x509_certificates(pem))
            return messages.X509BundlesResponse(bundles=bundles)

        yield from self.whenever_it_changes(context, answer)

    def FetchJWTSVID(self, request, context):
        token = self.generation(self.read()["generation"]).jwt_svid(request.audience)
        return messages.JWTSVIDResponse(svids=[messages.JWTSVID(spiffe_id=WORKLOAD, svid=token)])

    def FetchJWTBundles(self, request, context):
        def answer(state):
            keys = {"keys": [each.jwk() for each in self.trusted(state)]}
            bundles = {TRUST_DOMAIN: json.dumps(keys).encode(), **dict(self.federated(state, 1))}
            return messages.JWTBundlesResponse(bundles=bundles)

        yield from self.whenever_it_changes(context, answer)


def serve(directory):
    server = grpc.server(futures.ThreadPoolExecutor(16))
    service.add_SpiffeWorkloadAPIServicer_to_server(WorkloadApi(directory), server)
    server.add_insecure_port("unix:" + os.path.join(directory, "api.sock"))
    server.start()
    server.wait_for_termination()


def fetch(directory, name, audience):
    client = WorkloadApiClient("unix:" + os.path.join(directory, "api.sock"))
    svid, path = client.fetch_x509_svid(), os.path.join(directory, name)
    svid.save(path + ".crt", path + ".key", serialization.Encoding.PEM)
    os.chmod(path + ".key", 0o600)
    with open(path + ".jwt", "w", encoding="ascii") as file:
        file.write(client.fetch_jwt_svid(audience={audience}).token)


if __name__ == "__main__":
    {"serve": serve, "fetch": fetch}[sys.argv[1]](*sys.argv[2:])
