//! Client certificates: asked for in every handshake, demanded in none, and of whom they are is decided elsewhere.
//!
//! What TLS proves is that the client holds the private key. That is all that a bound token needs (RFC 8705 allows
//! certificates that nobody signed); whether a certificate names a subject says [`crate::issuers::TrustedIssuers`].

use std::sync::Arc;

use identity::Proven;
use model::id::Digest;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConnection, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{HandshakeSignatureValid, provider};

/// What a client showed in the handshake of one connection, and proved to hold the key of.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    chain: Arc<[CertificateDer<'static>]>,
    thumbprint: Digest,
}

impl ClientCertificate {
    /// That of this connection, whose handshake is over; `None` if the client showed none.
    pub fn of(connection: &ServerConnection) -> Option<Self> {
        let chain = connection.peer_certificates()?;
        let thumbprint = identity::thumbprint(chain.first()?);
        Some(Self { chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(), thumbprint })
    }

    /// The certificates, the client's own first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The SHA-256 of the client's own.
    pub const fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// What a token may be bound to on a connection with this certificate, if it has one.
    pub fn proven(certificate: Option<&Self>) -> Proven {
        Proven { certificate: certificate.map(Self::thumbprint), ..Proven::NOTHING }
    }
}

/// Takes any certificate whose key the client proves to hold, and none as well.
#[derive(Debug)]
pub(super) struct AnyClient(WebPkiSupportedAlgorithms);

impl AnyClient {
    pub(super) fn new() -> Self {
        Self(provider().signature_verification_algorithms)
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
