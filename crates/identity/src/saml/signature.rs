//! The one form of signature that is accepted (SAML core, section 5.4, made narrower): enveloped in the element that it
//! covers, which its only reference names by ID, in exclusive canonical form.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::{self, ENVELOPED, EXCLUSIVE, SignatureAlgorithm};
use super::error::SamlError;
use super::keys::ProviderKeys;
use super::xml::{DSIG, Element, Tree};
use crate::error::excerpt;

/// The longest list of prefixes: signers name the one or two that stand in attribute values.
const MAX_PREFIXES: usize = 16;

/// The canonical octets of an element that a trusted key signed: what is read from a document is read from these.
pub(super) struct SignedOctets(Vec<u8>);

impl SignedOctets {
    /// The element, parsed anew and alone.
    pub(super) fn tree(&self) -> Result<Tree<'_>, SamlError> {
        Tree::parse(&self.0)
    }
}

/// Verifies the signature that is a child of `element` and covers it.
pub(super) fn verify(element: Element<'_>, keys: &ProviderKeys) -> Result<SignedOctets, SamlError> {
    let parts = Parts::of(element)?;
    let prefixes = exclusive(parts.signed_info.only(DSIG, "CanonicalizationMethod")?, "canonicalisation")?;
    let signed = parts.signed_info.canonical(None, &prefixes)?;
    // From here on, what the signature says of itself is what was signed.
    let tree = Tree::parse(&signed)?;
    let signed_info = SignedInfo::read(tree.root()?)?;
    if signed_info.canonicalization != prefixes {
        return Err(SamlError::SignatureForm("it canonicalises itself into another"));
    }
    if !keys.verify(signed_info.algorithm, &signed, &parts.value) {
        return Err(SamlError::Signature);
    }
    if element.attribute("ID").is_none_or(|id| id.is_empty() || signed_info.target != id) {
        return Err(SamlError::SignatureForm("its reference is not the ID of the element that it is in"));
    }
    let octets = element.canonical(Some(parts.signature), &signed_info.prefixes)?;
    if digest::digest(signed_info.hash, &octets).as_ref() != signed_info.digest {
        return Err(SamlError::Digest);
    }
    Ok(SignedOctets(octets))
}

/// What a `Signature` consists of.
struct Parts<'d> {
    signature: Element<'d>,
    signed_info: Element<'d>,
    value: Vec<u8>,
}

impl<'d> Parts<'d> {
    /// `KeyInfo` may be there and is not looked at; `Object`, in which wrapped elements hide, may not.
    fn of(element: Element<'d>) -> Result<Self, SamlError> {
        let absent = SamlError::SignatureForm("the element has no signature of its own");
        let signature = element.optional(DSIG, "Signature")?.ok_or(absent)?;
        let children: Vec<Element<'d>> = signature.children().collect();
        let (signed_info, value) = match children.as_slice() {
            [signed_info, value] => (signed_info, value),
            [signed_info, value, key_info] if key_info.is(DSIG, "KeyInfo") => (signed_info, value),
            _ => {
                return Err(SamlError::SignatureForm("it has other parts than SignedInfo, SignatureValue and KeyInfo"));
            }
        };
        if !signed_info.is(DSIG, "SignedInfo") || !value.is(DSIG, "SignatureValue") {
            return Err(SamlError::SignatureForm("its parts are not in order"));
        }
        Ok(Self { signature, signed_info: *signed_info, value: binary(*value)? })
    }
}

/// What the signer said, read from the octets that it signed.
struct SignedInfo {
    canonicalization: Vec<String>,
    algorithm: SignatureAlgorithm,
    /// The ID that the reference names.
    target: String,
    prefixes: Vec<String>,
    hash: &'static digest::Algorithm,
    digest: Vec<u8>,
}

impl SignedInfo {
    fn read(root: Element<'_>) -> Result<Self, SamlError> {
        let [canonicalization, method, reference] =
            exactly(root, "SignedInfo", ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
        let [transforms, digest_method, digest_value] =
            exactly(reference, "Reference", ["Transforms", "DigestMethod", "DigestValue"])?;
        let target = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')).filter(|id| !id.is_empty());
        let form = SamlError::SignatureForm("its reference does not name an ID in this document");
        let target = target.filter(|_| reference.has_only(&["URI"])).ok_or(form)?;
        Ok(Self {
            canonicalization: exclusive(canonicalization, "canonicalisation")?,
            algorithm: SignatureAlgorithm::parse(algorithm_of(method, "signature algorithm")?)?,
            target: target.to_owned(),
            prefixes: transformed(transforms)?,
            hash: algorithm::digest(algorithm_of(digest_method, "digest")?)?,
            digest: binary(digest_value)?,
        })
    }
}

/// The children of an element, if they are these and no others. That there is one reference follows from it.
fn exactly<'d, const N: usize>(
    element: Element<'d>,
    name: &'static str,
    children: [&'static str; N],
) -> Result<[Element<'d>; N], SamlError> {
    let found: Result<[Element<'d>; N], _> = element.children().collect::<Vec<_>>().try_into();
    match found {
        Ok(found) if element.is(DSIG, name) && found.iter().zip(children).all(|(child, name)| child.is(DSIG, name)) => {
            Ok(found)
        }
        _ => Err(SamlError::SignatureForm("SignedInfo is not one reference with its transforms and digest")),
    }
}

/// The prefixes of the canonicalisation, if the transforms are the two that SAML wants, in their order.
fn transformed(transforms: Element<'_>) -> Result<Vec<String>, SamlError> {
    let children: Vec<Element<'_>> = transforms.children().collect();
    for child in &children {
        let name = algorithm_of_any(*child);
        if !child.is(DSIG, "Transform") || (name != ENVELOPED && name != EXCLUSIVE) {
            return Err(SamlError::Algorithm { what: "transform", name: excerpt(name) });
        }
    }
    match children.as_slice() {
        [enveloped, canonical]
            if algorithm_of_any(*enveloped) == ENVELOPED && enveloped.children().next().is_none() =>
        {
            exclusive(*canonical, "transform")
        }
        _ => Err(SamlError::SignatureForm("the transforms are not enveloped-signature and exclusive canonicalisation")),
    }
}

/// The prefixes in the `InclusiveNamespaces` of an exclusive canonicalisation, which this must be.
fn exclusive(method: Element<'_>, what: &'static str) -> Result<Vec<String>, SamlError> {
    let name = algorithm_of_any(method);
    if name != EXCLUSIVE || !method.has_only(&["Algorithm"]) {
        return Err(SamlError::Algorithm { what, name: excerpt(name) });
    }
    let children: Vec<Element<'_>> = method.children().collect();
    let prefixes = match children.as_slice() {
        [] => return Ok(Vec::new()),
        [list] if list.is(EXCLUSIVE, "InclusiveNamespaces") => list.attribute("PrefixList").unwrap_or_default(),
        _ => return Err(SamlError::SignatureForm("a canonicalisation has other parameters than InclusiveNamespaces")),
    };
    let prefixes: Vec<String> = prefixes.split_ascii_whitespace().map(str::to_owned).collect();
    if prefixes.len() > MAX_PREFIXES {
        return Err(SamlError::SignatureForm("InclusiveNamespaces has too many prefixes"));
    }
    Ok(prefixes)
}

fn algorithm_of_any(method: Element<'_>) -> &str {
    method.attribute("Algorithm").unwrap_or("(absent)")
}

/// The algorithm of a method that has no parameters: a truncated HMAC would be one.
fn algorithm_of<'d>(method: Element<'d>, what: &'static str) -> Result<&'d str, SamlError> {
    let name = algorithm_of_any(method);
    if method.children().next().is_some() || !method.has_only(&["Algorithm"]) {
        return Err(SamlError::Algorithm { what, name: excerpt(name) });
    }
    Ok(name)
}

/// Base64, in lines or not.
pub(super) fn binary(element: Element<'_>) -> Result<Vec<u8>, SamlError> {
    let text = element.text().map(|text| text.split_ascii_whitespace().collect::<String>());
    text.and_then(|text| STANDARD.decode(text).ok()).ok_or(SamlError::Encoding("base64 where it must be"))
}
