//! What an assertion says (SAML core, section 2), read from the octets that were signed. An element or attribute that
//! is absent where it must be, or there where it may not, is an error, never a default.

use model::time::Timestamp;

use super::error::SamlError;
use super::xml::{DSIG, Element, SAML, Tree};

const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// The longest ID that is remembered, in bytes.
const MAX_ID: usize = 255;

/// What an assertion may consist of (SAML core, section 2.3.3). Its signature is not among what was signed.
const PARTS: [&str; 7] =
    ["Issuer", "Subject", "Conditions", "Advice", "AuthnStatement", "AuthzDecisionStatement", "AttributeStatement"];

/// One assertion.
pub(super) struct Assertion {
    pub(super) id: String,
    pub(super) issuer: String,
    pub(super) issued_at: Timestamp,
    pub(super) name: NameId,
    /// Those by which whoever has the assertion may use it.
    pub(super) bearers: Vec<Bearer>,
    pub(super) conditions: Conditions,
    /// When the earliest of the sessions ends at the provider that it speaks of.
    pub(super) session_end: Option<Timestamp>,
    pub(super) attributes: Vec<Attribute>,
}

/// The name of the subject.
pub(super) struct NameId {
    pub(super) value: String,
    pub(super) is_transient: bool,
    /// `NameQualifier`: in whose domain the name is unique.
    pub(super) qualifier: Option<String>,
    /// `SPNameQualifier`: for whom it was made.
    pub(super) recipient_qualifier: Option<String>,
}

/// Where, how long and in answer to what the bearer may use the assertion.
pub(super) struct Bearer {
    pub(super) recipient: Option<String>,
    pub(super) end: Option<Timestamp>,
    pub(super) has_beginning: bool,
    pub(super) in_response_to: Option<String>,
}

/// When it holds and for whom. Of each restriction, one audience has to fit.
pub(super) struct Conditions {
    pub(super) begin: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) audiences: Vec<Vec<String>>,
}

/// A named list of values.
pub(super) struct Attribute {
    pub(super) name: String,
    /// `None` for a value that is not a text.
    pub(super) values: Vec<Option<String>>,
}

/// The one assertion of a document: its outermost element, or in a response. Nothing else of a response is believed,
/// whether it is signed or not.
pub(super) fn find<'d>(tree: &'d Tree<'_>) -> Result<Element<'d>, SamlError> {
    let root = tree.root()?;
    if root.and_descendants().any(Element::is_encrypted) {
        return Err(SamlError::Encrypted);
    }
    let assertion = if root.is(PROTOCOL, "Response") { root.only(SAML, "Assertion")? } else { root };
    if !assertion.is(SAML, "Assertion") {
        return Err(SamlError::Shape("it is neither an assertion nor a response with one"));
    }
    if root.and_descendants().filter(|element| element.is(SAML, "Assertion")).count() != 1 {
        return Err(SamlError::Shape("there are several assertions"));
    }
    let signatures = root.and_descendants().filter(|element| element.is(DSIG, "Signature")).count();
    let of_response = if root == assertion { 0 } else { root.named(DSIG, "Signature").count() };
    let of_assertion = assertion.named(DSIG, "Signature").count();
    if of_response > 1 || signatures != of_response.saturating_add(of_assertion) {
        return Err(SamlError::Shape("there is a signature where none belongs"));
    }
    Ok(assertion)
}

/// Who is said to have issued an assertion: it selects the keys, and is read again once they verified it.
pub(super) fn issuer(assertion: Element<'_>) -> Result<String, SamlError> {
    text(assertion.only(SAML, "Issuer")?, "Issuer")
}

impl Assertion {
    pub(super) fn read(root: Element<'_>) -> Result<Self, SamlError> {
        if !root.is(SAML, "Assertion") || root.attribute("Version") != Some("2.0") {
            return Err(SamlError::Shape("what was signed is not an assertion of SAML 2.0"));
        }
        if root.children().any(|child| !PARTS.iter().any(|name| child.is(SAML, name))) {
            return Err(SamlError::Shape("it has a part that SAML does not know"));
        }
        let subject = root.only(SAML, "Subject")?;
        let bearers = subject.named(SAML, "SubjectConfirmation").filter(|one| one.attribute("Method") == Some(BEARER));
        Ok(Self {
            id: id(root)?,
            issuer: issuer(root)?,
            issued_at: time(root, "IssueInstant")?.ok_or(absent("IssueInstant"))?,
            name: NameId::read(subject.only(SAML, "NameID")?)?,
            bearers: bearers.map(Bearer::read).collect::<Result<_, _>>()?,
            conditions: Conditions::read(root.only(SAML, "Conditions")?)?,
            session_end: session_end(root)?,
            attributes: attributes(root)?,
        })
    }

    /// The attribute of this name; an error if it is given twice, for then nobody knows which counts.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<&Attribute>, SamlError> {
        let mut found = self.attributes.iter().filter(|attribute| attribute.name == name);
        let first = found.next();
        let again = SamlError::Part { part: "an attribute", problem: "there more than once" };
        if found.next().is_some() { Err(again) } else { Ok(first) }
    }
}

impl NameId {
    fn read(element: Element<'_>) -> Result<Self, SamlError> {
        Ok(Self {
            value: text(element, "NameID")?,
            is_transient: element.attribute("Format") == Some(TRANSIENT),
            qualifier: element.attribute("NameQualifier").map(str::to_owned),
            recipient_qualifier: element.attribute("SPNameQualifier").map(str::to_owned),
        })
    }
}

impl Bearer {
    fn read(element: Element<'_>) -> Result<Self, SamlError> {
        let data = element.only(SAML, "SubjectConfirmationData")?;
        Ok(Self {
            recipient: data.attribute("Recipient").map(str::to_owned),
            end: time(data, "NotOnOrAfter")?,
            has_beginning: data.attribute("NotBefore").is_some(),
            in_response_to: data.attribute("InResponseTo").map(str::to_owned),
        })
    }
}

impl Conditions {
    fn read(element: Element<'_>) -> Result<Self, SamlError> {
        let mut audiences = Vec::new();
        for condition in element.children() {
            if condition.is(SAML, "AudienceRestriction") {
                let names = condition.named(SAML, "Audience").map(|audience| text(audience, "Audience"));
                audiences.push(names.collect::<Result<_, _>>()?);
            } else if !condition.is(SAML, "OneTimeUse") && !condition.is(SAML, "ProxyRestriction") {
                // SAML core, section 2.5.1.1: with a condition that is not understood, it is not valid. Every assertion
                // is used once here, and none is issued that rests on it.
                return Err(SamlError::Condition);
            }
        }
        Ok(Self { begin: time(element, "NotBefore")?, end: time(element, "NotOnOrAfter")?, audiences })
    }
}

fn session_end(root: Element<'_>) -> Result<Option<Timestamp>, SamlError> {
    let ends = root.named(SAML, "AuthnStatement").map(|statement| time(statement, "SessionNotOnOrAfter"));
    let ends = ends.collect::<Result<Vec<_>, _>>()?;
    Ok(ends.into_iter().flatten().min())
}

fn attributes(root: Element<'_>) -> Result<Vec<Attribute>, SamlError> {
    let listed = root.named(SAML, "AttributeStatement").flat_map(|statement| statement.named(SAML, "Attribute"));
    listed
        .map(|element| {
            let values = element.named(SAML, "AttributeValue").map(Element::text).collect();
            Ok(Attribute { name: attribute(element, "Name")?, values })
        })
        .collect()
}

/// It stands in the journal, so it is what it looks like.
fn id(root: Element<'_>) -> Result<String, SamlError> {
    let id = attribute(root, "ID")?;
    let strange = SamlError::Part { part: "ID", problem: "not of printable ASCII alone" };
    if id.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(id) } else { Err(strange) }
}

const fn absent(part: &'static str) -> SamlError {
    SamlError::Part { part, problem: "absent" }
}

fn text(element: Element<'_>, part: &'static str) -> Result<String, SamlError> {
    element.text().filter(|text| !text.is_empty()).ok_or(SamlError::Part { part, problem: "empty or not a text" })
}

fn attribute(element: Element<'_>, name: &'static str) -> Result<String, SamlError> {
    let value = element.attribute(name).filter(|value| (1..=MAX_ID).contains(&value.len()));
    value.map(str::to_owned).ok_or(SamlError::Part { part: name, problem: "absent or too long" })
}

fn time(element: Element<'_>, name: &'static str) -> Result<Option<Timestamp>, SamlError> {
    let wrong = SamlError::Part { part: name, problem: "not a time in UTC" };
    element.attribute(name).map(|text| moment(text).ok_or(wrong)).transpose()
}

/// SAML core, section 1.3.3: in UTC, and nothing that depends on a time zone.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let is_utc = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    is_utc.then(|| Timestamp::from_rfc_3339(text)).flatten()
}
