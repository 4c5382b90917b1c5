//! An X.509-SVID as the proof of who the caller is (SPIFFE X509-SVID): the chain that a client showed in its handshake.
//!
//! That the client holds the private key is TLS's business and done before. Here the leaf says which trust domain it is
//! of, and only that trust domain's own authorities can make it true.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use model::id::Digest;
use model::spiffe::{SpiffeId, TrustDomain};
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::bundle::{Authority, validity};
use crate::error::{IdentityError, excerpt};
use crate::issuers::Issuers;

/// The most certificates of a chain, the leaf included: deeper hierarchies are not seen.
const MAX_CHAIN: usize = 8;
/// The longest name of a subject, in bytes: the same as in tokens.
const MAX_NAME: usize = 255;

/// What may sign certificates: SHA-256 or better, RSA of 2,048 bits or more.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Why a client certificate does not say who the caller is. It may still be what a token is bound to (RFC 8705).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// Nobody showed one.
    #[error("the chain is empty or longer than {MAX_CHAIN} certificates")]
    Length,
    /// Not a certificate, or one that two parsers read differently.
    #[error("the certificate is malformed")]
    Malformed,
    /// Not exactly one URI in the subject alternative names (X509-SVID, section 2).
    #[error("the certificate has {0} URI names, not one")]
    Names(usize),
    /// The URI is not the SPIFFE id of a workload, or longer than a subject's name may be.
    #[error("the certificate's name {0} is not a workload's SPIFFE id of at most {MAX_NAME} bytes")]
    NotSpiffe(String),
    /// The trust domain is not configured, or not for certificates.
    #[error("the trust domain {0} is not configured for certificates")]
    UnknownTrustDomain(String),
    /// The leaf could sign certificates (X509-SVID, section 5.2).
    #[error("the certificate is a certification authority's")]
    Authority,
    /// The key usage is absent, is not for signatures, or is for certificates or revocation lists (section 4.3).
    #[error("the certificate's key usage is not a workload's")]
    Usage,
    /// No authority of that trust domain vouches for it, now.
    #[error("no authority of trust domain `{trust_domain}` vouches for the certificate: {reason}")]
    Path {
        /// Which trust domain.
        trust_domain: Arc<str>,
        /// What was found on the way: expired, unknown issuer, name constraints, ….
        reason: String,
    },
}

/// The SHA-256 of a certificate's DER: what a token is bound to (RFC 8705, section 3.1).
pub fn thumbprint(certificate: &CertificateDer<'_>) -> Digest {
    let mut thumbprint = [0; 32];
    thumbprint.iter_mut().zip(digest(&SHA256, certificate).as_ref()).for_each(|(to, from)| *to = *from);
    Digest(thumbprint)
}

/// Says who the caller is by the chain of certificates, the leaf first, whose key it proved to hold in *this* handshake.
/// `now` is wall-clock time.
///
/// The subject ends with the first certificate of the path to end, the authority's included.
///
/// # Errors
/// [`IdentityError::Certificate`] with the true reason, for the journal.
pub fn verify_certificate(
    chain: &[CertificateDer<'_>],
    issuers: &Issuers,
    now: Timestamp,
) -> Result<Subject, IdentityError> {
    let (leaf, others) = chain.split_first().filter(|_| chain.len() <= MAX_CHAIN).ok_or(SvidError::Length)?;
    let Ok(([], parsed)) = X509Certificate::from_der(leaf) else {
        return Err(SvidError::Malformed.into());
    };
    let end_entity = EndEntityCert::try_from(leaf).map_err(|_| SvidError::Malformed)?;
    let name = only_name(&parsed)?;
    // The name is read by one parser and the path by another: they must have read the same certificate.
    if !end_entity.valid_uri_names().eq([name]) {
        return Err(SvidError::Malformed.into());
    }
    let id = SpiffeId::parse(name).filter(|_| name.len() <= MAX_NAME);
    let id = id.ok_or_else(|| SvidError::NotSpiffe(excerpt(name)))?;
    let trusted = issuers.by_trust_domain(id.trust_domain()).filter(|trusted| trusted.domain.certificates);
    let trusted = trusted.ok_or_else(|| SvidError::UnknownTrustDomain(excerpt(id.trust_domain())))?;
    check_leaf(&parsed)?;
    let failed = |reason: String| SvidError::Path { trust_domain: Arc::clone(&trusted.domain.name), reason };
    let above = ends_above(&end_entity, others, &trusted.bundle.authorities, now).map_err(failed)?;
    // The search for the path lets the last second count; a session of that second would be over as it begins.
    let expires_at = validity(&parsed).1.min(above);
    if now >= expires_at {
        return Err(failed(String::from("CertExpired")).into());
    }
    let key = SubjectKey { issuer: Arc::clone(&trusted.domain.issuer.alias), id: id.as_str().into() };
    Ok(Subject {
        key,
        kind: SubjectKind::Service,
        groups: trusted.domain.groups_of(&id),
        on_behalf_of: Vec::new(),
        expires_at,
        binding: Binding::Mtls,
        // Not the form of an opaque token's digest, or it would be asked for as one.
        token_id: Some(format!("x509-sha256:{}", thumbprint(leaf)).into()),
        credential: Credential {
            issued_at: validity(&parsed).0,
            digest: Some(thumbprint(leaf)),
            ..Credential::default()
        },
    })
}

/// The only URI among the subject alternative names; other kinds of name may stand beside it.
fn only_name<'a>(leaf: &X509Certificate<'a>) -> Result<&'a str, SvidError> {
    let names = leaf.subject_alternative_name().map_err(|_| SvidError::Malformed)?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let uris: Vec<&str> = uris.collect();
    if let [only] = uris.as_slice() { Ok(only) } else { Err(SvidError::Names(uris.len())) }
}

fn check_leaf(leaf: &X509Certificate<'_>) -> Result<(), SvidError> {
    let constraints = leaf.basic_constraints().map_err(|_| SvidError::Malformed)?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(SvidError::Authority);
    }
    let usage = leaf.key_usage().map_err(|_| SvidError::Malformed)?.ok_or(SvidError::Usage)?.value;
    if usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign() {
        Ok(())
    } else {
        Err(SvidError::Usage)
    }
}

/// Finds a path to one of the authorities, and returns when the first certificate above the leaf ends.
fn ends_above(
    leaf: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    authorities: &[Authority],
    now: Timestamp,
) -> Result<Timestamp, String> {
    // The path's own search does not look at when an anchor ends.
    let is_valid = |authority: &&Authority| authority.begins <= now && now < authority.ends;
    let valid: Vec<&Authority> = authorities.iter().filter(is_valid).collect();
    let anchors: Vec<TrustAnchor<'_>> = valid.iter().map(|authority| authority.anchor.clone()).collect();
    if anchors.is_empty() {
        return Err(String::from("it has none that is valid now"));
    }
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds()));
    let path = leaf.verify_for_usage(ALGORITHMS, &anchors, others, time, KeyUsage::client_auth(), None, None);
    let path = path.map_err(|error| error.to_string())?;
    let anchor = valid.iter().find(|authority| authority.anchor == *path.anchor());
    let anchor = anchor.ok_or_else(|| String::from("the path ends nowhere"))?;
    let (count, first) = between(&path)?;
    if anchor.path_length.is_some_and(|most| count > most) {
        return Err(String::from("the path is longer than its authority allows"));
    }
    Ok(first.min(anchor.ends))
}

/// How many certificates there are between leaf and authority, and when the first of them ends. The search for the path
/// saw that they are authorities; that their keys are for signing certificates it does not look at.
fn between(path: &VerifiedPath<'_>) -> Result<(u32, Timestamp), String> {
    let (mut count, mut first) = (0_u32, Timestamp(u64::MAX));
    for certificate in path.intermediate_certificates() {
        let der = certificate.der();
        let malformed = || String::from("a certificate above is malformed");
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| malformed())?;
        let usage = parsed.key_usage().map_err(|_| malformed())?;
        if !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
            return Err(String::from("a certificate above is not for signing certificates"));
        }
        (count, first) = (count.saturating_add(1), first.min(validity(&parsed).1));
    }
    Ok((count, first))
}

/// What a trust domain makes of a subject that one of its JWT-SVIDs names: it speaks for its own workloads alone, and
/// their groups come from their paths.
pub(crate) fn of_trust_domain(domain: &TrustDomain, subject: Subject) -> Result<Subject, IdentityError> {
    let is_own = |key: &SubjectKey| SpiffeId::parse(&key.id).is_some_and(|id| id.trust_domain() == &*domain.name);
    if !subject.identities().all(is_own) {
        return Err(IdentityError::Delegation("a party is not a workload of the trust domain"));
    }
    let groups = SpiffeId::parse(&subject.key.id).map(|id| domain.groups_of(&id)).unwrap_or_default();
    Ok(Subject { groups, ..subject })
}

#[cfg(test)]
mod tests;
