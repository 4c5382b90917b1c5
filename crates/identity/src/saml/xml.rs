//! One parser for all XML, and what is asked of its trees. Names are compared with their namespaces, never by prefix.

use std::collections::BTreeSet;

use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::NodeSet;
use bergshamra_xml::uppsala::{Document, NodeId, NodeKind, Parser};

use super::error::SamlError;
use crate::error::excerpt;

/// The longest assertion or response that is read, in bytes. With hundreds of groups they have some tens of kilobytes.
pub const MAX_DOCUMENT: usize = 256 * 1024;

/// The deepest nesting. A response with its assertion and an attribute's value has 8 levels.
const MAX_DEPTH: u32 = 32;
/// The most elements of a document: metadata of a large provider has some hundreds.
const MAX_ELEMENTS: usize = 10_000;
/// The most attributes and namespace declarations of one element: what canonicalisation sorts.
const MAX_ON_ELEMENT: usize = 64;

/// The namespace of assertions.
pub(super) const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// The namespace of XML signatures.
pub(super) const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// A parsed document.
pub(super) struct Tree<'t>(Document<'t>);

/// One of its elements.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    document: &'d Document<'d>,
    id: NodeId,
}

impl<'t> Tree<'t> {
    /// Parses UTF-8. A document type is refused before anything in it is read, and so is every processing instruction.
    pub(super) fn parse(bytes: &'t [u8]) -> Result<Self, SamlError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(SamlError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SamlError::Encoding("UTF-8"))?;
        let parser = Parser::new().with_max_depth(MAX_DEPTH).with_forbid_dtd(true);
        let document = parser.parse(text).map_err(|error| SamlError::Xml(excerpt(&error.to_string())))?;
        let encoding = document.xml_declaration.as_ref().and_then(|declaration| declaration.encoding.as_deref());
        if encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
            return Err(SamlError::Encoding("UTF-8, as it says itself"));
        }
        let tree = Self(document);
        tree.check_bounds()?;
        Ok(tree)
    }

    fn check_bounds(&self) -> Result<(), SamlError> {
        let bad = |what: &str| Err(SamlError::Xml(what.to_owned()));
        let mut elements = 0_usize;
        for id in self.0.descendants(self.0.root()) {
            match self.0.node_kind(id) {
                Some(NodeKind::ProcessingInstruction(_)) => return bad("it has a processing instruction"),
                Some(NodeKind::Element(element)) => {
                    elements = elements.saturating_add(1);
                    let on_it = element.attributes.len().saturating_add(element.namespace_declarations.len());
                    if on_it > MAX_ON_ELEMENT {
                        return bad("an element has too many attributes");
                    }
                }
                _ => {}
            }
        }
        if elements > MAX_ELEMENTS { bad("it has too many elements") } else { Ok(()) }
    }

    /// The outermost element.
    pub(super) fn root(&self) -> Result<Element<'_>, SamlError> {
        let id = self.0.document_element().ok_or(SamlError::Shape("there is no element"))?;
        Ok(Element { document: &self.0, id })
    }

    /// Checks that no two attributes that may be an ID have the same value: a reference must mean one element, whatever
    /// schema its reader knows.
    pub(super) fn check_ids(&self) -> Result<(), SamlError> {
        let mut seen = BTreeSet::new();
        for element in self.root()?.and_descendants() {
            for attribute in element.attributes() {
                let name = &*attribute.name.local_name;
                let may_be_id = name.eq_ignore_ascii_case("id") || name == "AssertionID";
                if may_be_id && !seen.insert(&*attribute.value) {
                    return Err(SamlError::Shape("two elements have the same ID"));
                }
            }
        }
        Ok(())
    }
}

impl<'d> Element<'d> {
    fn attributes(self) -> &'d [bergshamra_xml::Attribute<'d>] {
        self.document.element(self.id).map_or(&[], |element| &element.attributes)
    }

    /// Whether this is its name.
    pub(super) fn is(self, namespace: &str, name: &str) -> bool {
        self.document.element(self.id).is_some_and(|element| element.name.matches(Some(namespace), name))
    }

    /// Whether it is one of the elements that hide another. All of them are called so in SAML's own namespace.
    pub(super) fn is_encrypted(self) -> bool {
        ["EncryptedAssertion", "EncryptedID", "EncryptedAttribute", "NewEncryptedID"]
            .iter()
            .any(|name| self.is(SAML, name))
    }

    /// An attribute without a namespace.
    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        let is_it = |attribute: &&bergshamra_xml::Attribute<'d>| attribute.name.matches(None, name);
        self.attributes().iter().find(is_it).map(|attribute| &*attribute.value)
    }

    /// Whether it has no attributes but these.
    pub(super) fn has_only(self, names: &[&str]) -> bool {
        self.attributes().iter().all(|attribute| names.iter().any(|name| attribute.name.matches(None, name)))
    }

    /// Its child elements, in order.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        let ids = self.document.children_iter(self.id).filter(|id| self.document.element(*id).is_some());
        ids.map(move |id| Self { document: self.document, id })
    }

    /// The children of this name.
    pub(super) fn named(self, namespace: &'static str, name: &'static str) -> impl Iterator<Item = Self> {
        self.children().filter(move |child| child.is(namespace, name))
    }

    /// The child of this name, if there is one; an error if there are several.
    pub(super) fn optional(self, namespace: &'static str, name: &'static str) -> Result<Option<Self>, SamlError> {
        let mut found = self.named(namespace, name);
        let first = found.next();
        if found.next().is_some() {
            return Err(SamlError::Part { part: name, problem: "there more than once" });
        }
        Ok(first)
    }

    /// The one child of this name.
    pub(super) fn only(self, namespace: &'static str, name: &'static str) -> Result<Self, SamlError> {
        self.optional(namespace, name)?.ok_or(SamlError::Part { part: name, problem: "absent" })
    }

    /// Itself and all elements within, in document order.
    pub(super) fn and_descendants(self) -> impl Iterator<Item = Self> {
        let within = self.document.descendants(self.id).into_iter().filter(move |id| *id != self.id);
        let all = std::iter::once(self.id).chain(within).filter(|id| self.document.element(*id).is_some());
        all.map(move |id| Self { document: self.document, id })
    }

    /// Its text, all of it: whatever stands between two pieces is no end. `None` if there are elements in it.
    pub(super) fn text(self) -> Option<String> {
        let mut text = String::new();
        for id in self.document.children_iter(self.id) {
            match self.document.node_kind(id)? {
                NodeKind::Text(piece) | NodeKind::CData(piece) => text.push_str(piece),
                NodeKind::Comment(_) => {}
                _ => return None,
            }
        }
        Some(text)
    }

    /// Its exclusive canonical form without comments (Exclusive XML Canonicalization 1.0), leaving out `without` and what
    /// is in it. `prefixes` are those of `InclusiveNamespaces`.
    pub(super) fn canonical(self, without: Option<Self>, prefixes: &[String]) -> Result<Vec<u8>, SamlError> {
        let whole = NodeSet::tree_without_comments(self.id, self.document);
        let nodes = match without {
            Some(without) => whole.subtract(&NodeSet::tree_with_comments(without.id, self.document)),
            None => whole,
        };
        canonicalize_doc(self.document, C14nMode::Exclusive, Some(&nodes), prefixes)
            .map_err(|error| SamlError::Xml(excerpt(&error.to_string())))
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.document, other.document) && self.id == other.id
    }
}
