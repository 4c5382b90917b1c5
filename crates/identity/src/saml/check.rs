//! The order of the checks: form, issuer, signature, and only then what the signed octets say.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::issuer::KindRule;
use model::saml::{SamlProvider, SubjectName};
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;

use super::assertion::{self, Assertion, Bearer};
use super::error::SamlError;
use super::providers::Providers;
use super::signature;
use super::xml::Tree;
use crate::groups::{self, MAX_GROUPS};
use crate::subject::is_name;

/// The longest that a used assertion is remembered, in seconds: no identity lasts longer after it was issued.
const MAX_REMEMBERED: u64 = 7 * 86_400;

/// Who an assertion says the caller is, for once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The caller.
    pub subject: Subject,
    /// The assertion's ID, which its provider gives no other. The subject is to be used only if this one was not used
    /// before.
    pub assertion_id: Arc<str>,
    /// Until when the ID has to be remembered: afterwards the assertion is refused for its age.
    pub remember_until: Timestamp,
}

/// Verifies a SAML 2.0 assertion, or a response with one in it, and says who the caller is. `now` is wall-clock time.
///
/// # Errors
/// The first check that fails, as the true reason for the journal. [`SamlError::UnknownKey`] and
/// [`SamlError::MetadataTooOld`] may pass when the provider's metadata is had again; all others are final.
pub fn verify(document: &[u8], providers: &Providers, now: Timestamp) -> Result<Accepted, SamlError> {
    let tree = Tree::parse(document)?;
    tree.check_ids()?;
    let element = assertion::find(&tree)?;
    let (provider, keys) = providers.find(&assertion::issuer(element)?, now)?;
    let octets = signature::verify(element, keys).map_err(|error| match error {
        SamlError::Signature => SamlError::UnknownKey { provider: Arc::clone(&provider.alias) },
        other => other,
    })?;
    let signed = octets.tree()?;
    let assertion = Assertion::read(signed.root()?)?;
    if *assertion.issuer != *provider.entity_id {
        return Err(SamlError::Shape("what was signed has another issuer"));
    }
    accept(&assertion, provider, now)
}

fn accept(assertion: &Assertion, provider: &SamlProvider, now: Timestamp) -> Result<Accepted, SamlError> {
    check_audience(assertion, provider)?;
    let end = end(assertion, provider, now)?;
    let session_end = assertion.session_end.unwrap_or(end);
    let expires_at = end.min(session_end).min(lasting(assertion, provider.max_lifetime));
    check_times(assertion, provider, expires_at, now)?;
    let id: Arc<str> = assertion.id.as_str().into();
    Ok(Accepted {
        subject: Subject {
            key: SubjectKey { issuer: Arc::clone(&provider.alias), id: name(assertion, provider)? },
            kind: kind(assertion, &provider.kind)?,
            groups: groups_of(assertion, provider)?,
            on_behalf_of: Vec::new(),
            expires_at,
            binding: Binding::Bearer,
            token_id: Some(Arc::clone(&id)),
            credential: Credential { issued_at: earliest(assertion, provider), ..Credential::default() },
        },
        assertion_id: id,
        remember_until: end.min(lasting(assertion, MAX_REMEMBERED)),
    })
}

/// When it can have been issued at the earliest, for the provider's clock may be ahead of ours.
fn earliest(assertion: &Assertion, provider: &SamlProvider) -> Timestamp {
    Timestamp(assertion.issued_at.0.saturating_sub(provider.leeway.saturating_mul(1000)))
}

fn lasting(assertion: &Assertion, seconds: u64) -> Timestamp {
    assertion.issued_at.plus_millis(seconds.saturating_mul(1000))
}

/// SAML core, section 2.5.1.4: every restriction has to hold; that there is one is RFC 7522, section 3.
fn check_audience(assertion: &Assertion, provider: &SamlProvider) -> Result<(), SamlError> {
    let restrictions = &assertion.conditions.audiences;
    let names_us = |names: &Vec<String>| names.iter().any(|name| provider.audiences.contains(&**name));
    if !restrictions.is_empty() && restrictions.iter().all(names_us) { Ok(()) } else { Err(SamlError::Audience) }
}

/// When the assertion stops being usable here: the latest of the confirmations that hold, or the end of all of it.
fn end(assertion: &Assertion, provider: &SamlProvider, now: Timestamp) -> Result<Timestamp, SamlError> {
    let mut refused = SamlError::Confirmation("there is none for bearers");
    let mut latest = None;
    for bearer in &assertion.bearers {
        match confirmed(bearer, provider, now) {
            Ok(end) => latest = latest.max(Some(end)),
            Err(reason) => refused = reason,
        }
    }
    let latest = latest.ok_or(refused)?;
    Ok(assertion.conditions.end.map_or(latest, |end| end.min(latest)))
}

/// SAML profiles, section 4.1.4.2, and RFC 7522, section 3. `Address` is at our discretion: whoever stands behind a
/// translation of addresses has another one for the provider than for us.
fn confirmed(bearer: &Bearer, provider: &SamlProvider, now: Timestamp) -> Result<Timestamp, SamlError> {
    let recipient = bearer.recipient.as_deref().unwrap_or_default();
    if !provider.recipients.contains(recipient) {
        return Err(SamlError::Confirmation("it is for another recipient"));
    }
    if bearer.in_response_to.is_some() && !provider.solicited {
        return Err(SamlError::Confirmation("it answers a request, and Sluice made none"));
    }
    if bearer.has_beginning {
        return Err(SamlError::Confirmation("it has NotBefore"));
    }
    let end = bearer.end.ok_or(SamlError::Confirmation("it has no NotOnOrAfter"))?;
    if now < end { Ok(end) } else { Err(expired(end, now)) }
}

fn check_times(
    assertion: &Assertion,
    provider: &SamlProvider,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), SamlError> {
    if now >= expires_at {
        return Err(expired(expires_at, now));
    }
    let begin = assertion.conditions.begin.unwrap_or(assertion.issued_at).max(assertion.issued_at);
    let ahead = begin.millis_since(now.plus_millis(provider.leeway.saturating_mul(1000)));
    if ahead > 0 { Err(SamlError::NotYet(ahead.div_ceil(1000))) } else { Ok(()) }
}

const fn expired(end: Timestamp, now: Timestamp) -> SamlError {
    SamlError::Expired(now.millis_since(end) / 1000)
}

/// A transient name stands for nobody, and one that another party's qualifier limits may stand for somebody else here.
fn name(assertion: &Assertion, provider: &SamlProvider) -> Result<Arc<str>, SamlError> {
    let name = match &provider.subject {
        SubjectName::NameId => {
            let name = &assertion.name;
            let is_theirs = name.qualifier.as_ref().is_none_or(|qualifier| **qualifier == *provider.entity_id);
            let for_us = |qualifier: &String| provider.audiences.contains(&**qualifier);
            let is_ours = name.recipient_qualifier.as_ref().is_none_or(for_us);
            (!name.is_transient && is_theirs && is_ours).then_some(&*name.value)
        }
        SubjectName::Attribute(attribute) => only_value(assertion, attribute)?,
    };
    name.filter(|name| is_name(name)).map(Into::into).ok_or(SamlError::Name("subject"))
}

fn kind(assertion: &Assertion, rule: &KindRule) -> Result<SubjectKind, SamlError> {
    Ok(match rule {
        KindRule::Service => SubjectKind::Service,
        KindRule::User => SubjectKind::User,
        KindRule::UserIf { claim, value } => {
            let is_user = only_value(assertion, claim)? == Some(&**value);
            if is_user { SubjectKind::User } else { SubjectKind::Service }
        }
    })
}

/// The value of an attribute that has exactly one, and that is a text.
fn only_value<'a>(assertion: &'a Assertion, attribute: &str) -> Result<Option<&'a str>, SamlError> {
    let values = assertion.attribute(attribute)?.map_or(&[][..], |attribute| &attribute.values);
    let [only] = values else { return Ok(None) };
    Ok(only.as_deref())
}

/// No attribute means no groups; one that is not a list of texts means that they are unknown.
fn groups_of(assertion: &Assertion, provider: &SamlProvider) -> Result<Vec<Arc<str>>, SamlError> {
    let Some(attribute) = &provider.groups_attribute else {
        return Ok(Vec::new());
    };
    let values = assertion.attribute(attribute)?.map_or(&[][..], |attribute| &attribute.values);
    if values.len() > MAX_GROUPS {
        return Err(SamlError::Groups("there are too many"));
    }
    let mut groups = BTreeSet::new();
    for value in values {
        let value = value.as_deref().ok_or(SamlError::Groups("one is not a text"))?;
        let group = groups::as_policies_name_it(&provider.alias, &provider.bare_groups, value);
        groups.insert(group.ok_or(SamlError::Name("group"))?);
    }
    Ok(groups.into_iter().collect())
}
