//! A document of GraphQL (October 2021, section 2): the operation that is run, and what it selects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apollo_parser::cst::{self, CstNode};
use apollo_parser::{Parser, SyntaxTree};
use model::effect::GraphqlKind;

use super::super::answer::Selected;
use super::super::request::TooMuch;
use crate::named_secrets::names_a_secret;
use crate::shown::MARK;

/// How deep fields and fragments may be in each other.
const MOST_DEPTH: usize = 32;
/// How many selections may be in all, each use of a fragment counted.
const MOST_SELECTIONS: usize = 2000;
/// How many tokens a document may have.
const MOST_TOKENS: usize = 20_000;
/// How deep the grammar may go into selections, values and types: deeper than what is selected may be.
const MOST_RECURSION: usize = 64;

/// What is run.
pub(super) struct Operation {
    pub(super) kind: GraphqlKind,
    /// Empty where it has none.
    pub(super) name: Arc<str>,
    /// Every field by the schema's names, each once; never empty.
    pub(super) fields: BTreeSet<Vec<Arc<str>>>,
    pub(super) selected: BTreeSet<Selected>,
    /// The document for people, secrets marked.
    pub(super) shown: String,
}

/// Why there is none.
pub(super) enum Problem {
    TooMuch(TooMuch),
    /// It is not understood, and why.
    Unclear(&'static str),
}

/// Whether a field is how the schema is read (section 4).
pub(super) fn is_introspection(path: &[Arc<str>]) -> bool {
    path.first().is_some_and(|name| matches!(&**name, "__schema" | "__type"))
}

/// Reads a document, of which the operation of that name is run, or the only one.
pub(super) fn read(text: &str, name: Option<&str>) -> Result<Operation, Problem> {
    let tree = Parser::new(text).recursion_limit(MOST_RECURSION).token_limit(MOST_TOKENS).parse();
    if tree.recursion_limit().high > MOST_RECURSION {
        return Err(Problem::TooMuch(TooMuch::Depth(MOST_DEPTH)));
    }
    if tree.errors().next().is_some() {
        return Err(Problem::Unclear("a document that is no GraphQL"));
    }
    let document = tree.document();
    let (mut operations, mut fragments) = (Vec::new(), BTreeMap::new());
    for definition in document.definitions() {
        match definition {
            cst::Definition::OperationDefinition(operation) => operations.push(operation),
            cst::Definition::FragmentDefinition(fragment) => {
                let name = fragment.fragment_name().and_then(|name| name.name()).map(|name| name.text().to_string());
                let twice = fragments.insert(name.unwrap_or_default(), fragment).is_some();
                if twice {
                    return Err(Problem::Unclear("a document with two fragments of one name"));
                }
            }
            _ => return Err(Problem::Unclear("a document that defines a schema")),
        }
    }
    let operation = chosen(operations, name)?;
    let mut walk =
        Walk { fragments: &fragments, fields: BTreeSet::new(), selected: BTreeSet::new(), left: MOST_SELECTIONS };
    walk.set(operation.selection_set(), &Selected { schema: vec![], response: vec![] }, 0)?;
    if walk.fields.is_empty() {
        return Err(Problem::Unclear("an operation that selects nothing"));
    }
    Ok(Operation {
        kind: kind(&operation),
        name: operation_name(&operation).unwrap_or_default().into(),
        fields: walk.fields,
        selected: walk.selected,
        shown: without_secrets(text, &tree),
    })
}

/// The operation that a server runs (section 6.1).
fn chosen(operations: Vec<cst::OperationDefinition>, name: Option<&str>) -> Result<cst::OperationDefinition, Problem> {
    let names: Vec<Option<String>> = operations.iter().map(operation_name).collect();
    let distinct: BTreeSet<&Option<String>> = names.iter().collect();
    let is_alone = operations.len() == 1;
    if distinct.len() < names.len() || (!is_alone && names.contains(&None)) {
        return Err(Problem::Unclear("a document with two operations of one name, or one without"));
    }
    let wanted = |given: &Option<String>| match name {
        Some(name) => given.as_deref() == Some(name),
        None => is_alone,
    };
    let found = operations.into_iter().zip(&names).find(|(_, given)| wanted(given)).map(|(operation, _)| operation);
    found.ok_or(Problem::Unclear("a document without the operation that is to be run"))
}

fn operation_name(operation: &cst::OperationDefinition) -> Option<String> {
    operation.name().map(|name| name.text().to_string())
}

/// Section 2.3; a document that is only a selection is a query.
fn kind(operation: &cst::OperationDefinition) -> GraphqlKind {
    match operation.operation_type() {
        Some(kind) if kind.mutation_token().is_some() => GraphqlKind::Mutation,
        Some(kind) if kind.subscription_token().is_some() => GraphqlKind::Subscription,
        Some(_) | None => GraphqlKind::Query,
    }
}

/// What is selected, as it is walked.
struct Walk<'d> {
    fragments: &'d BTreeMap<String, cst::FragmentDefinition>,
    fields: BTreeSet<Vec<Arc<str>>>,
    selected: BTreeSet<Selected>,
    /// How many selections may still come.
    left: usize,
}

impl Walk<'_> {
    fn set(&mut self, set: Option<cst::SelectionSet>, around: &Selected, depth: usize) -> Result<(), Problem> {
        let Some(set) = set else { return Ok(()) };
        if depth > MOST_DEPTH {
            return Err(Problem::TooMuch(TooMuch::Depth(MOST_DEPTH)));
        }
        let deeper = depth.saturating_add(1);
        for selection in set.selections() {
            let left = self.left.checked_sub(1);
            self.left = left.ok_or(Problem::TooMuch(TooMuch::Fields(MOST_SELECTIONS)))?;
            match selection {
                cst::Selection::Field(field) => self.field(&field, around, deeper)?,
                cst::Selection::InlineFragment(fragment) => self.set(fragment.selection_set(), around, deeper)?,
                cst::Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|name| name.name()).map(|name| name.text().to_string());
                    let fragment = self.fragments.get(&name.unwrap_or_default());
                    let set = fragment.ok_or(Problem::Unclear("a fragment that is not defined"))?.selection_set();
                    self.set(set, around, deeper)?;
                }
            }
        }
        Ok(())
    }

    /// `__typename` says nothing but what its object is; it is an effect only where there is no object around it.
    fn field(&mut self, field: &cst::Field, around: &Selected, depth: usize) -> Result<(), Problem> {
        let name = field.name().ok_or(Problem::Unclear("a field without a name"))?.text().to_string();
        let alias = field.alias().and_then(|alias| alias.name()).map(|alias| alias.text().to_string());
        let is_typename = name == "__typename" && !around.schema.is_empty();
        let mut here = around.clone();
        here.response.push(alias.as_deref().unwrap_or(&name).into());
        here.schema.push(name.into());
        if is_introspection(&here.schema) {
            // What is asked of the schema is one effect, but may be no more than anything else.
            let mut inside =
                Walk { fragments: self.fragments, fields: BTreeSet::new(), selected: BTreeSet::new(), left: self.left };
            inside.set(field.selection_set(), &here, depth)?;
            self.left = inside.left;
            self.fields.insert(here.schema);
            return Ok(());
        }
        if !is_typename {
            self.fields.insert(here.schema.clone());
        }
        self.selected.insert(here.clone());
        self.set(field.selection_set(), &here, depth)
    }
}

/// The document with a mark in place of every constant under the name of a secret.
fn without_secrets(text: &str, tree: &SyntaxTree<cst::Document>) -> String {
    let (mut out, mut end) = (String::with_capacity(text.len()), 0_usize);
    for node in tree.document().syntax().descendants() {
        let (name, value) = match (cst::Argument::cast(node.clone()), cst::ObjectField::cast(node)) {
            (Some(argument), _) => (argument.name(), argument.value()),
            (None, Some(field)) => (field.name(), field.value()),
            (None, None) => continue,
        };
        let (Some(name), Some(value)) = (name, value) else { continue };
        if matches!(value, cst::Value::Variable(_)) || !names_a_secret(name.text().as_str()) {
            continue;
        }
        let range = value.syntax().text_range();
        let (start, stop) = (usize::from(range.start()), usize::from(range.end()));
        // What stands inside of a marked one is marked with it.
        let Some(before) = text.get(end..start) else { continue };
        out.push_str(before);
        out.push_str(MARK);
        end = stop;
    }
    out.push_str(text.get(end..).unwrap_or_default());
    out
}
