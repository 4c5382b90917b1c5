//! The schema of a revision: the shipped template with the revision's data classes in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Entities, Entity, EntityUid, Schema};
use model::class::{DataClass, Transform};

use crate::load::PolicyError;
use crate::shipped::SCHEMA_TEMPLATE;
use crate::vocabulary::Types;

/// The actions of the schema that can be asked about.
#[derive(Debug)]
pub(crate) struct Actions {
    by_name: HashMap<Arc<str>, Entity>,
    hierarchy: Entities,
}

impl Actions {
    /// The action of this name, with the groups that it is in.
    pub(crate) fn entity(&self, name: &str) -> Option<&Entity> {
        self.by_name.get(name)
    }

    /// The names of the actions that a policy's scope can match.
    pub(crate) fn matching(&self, scope: &ActionConstraint) -> Vec<Arc<str>> {
        let within =
            |action: &EntityUid, group: &EntityUid| action == group || self.hierarchy.is_ancestor_of(group, action);
        let matches = |action: &EntityUid| match scope {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => action == one,
            ActionConstraint::In(groups) => groups.iter().any(|group| within(action, group)),
        };
        let all = self.by_name.iter();
        all.filter(|(_, entity)| matches(&entity.uid())).map(|(name, _)| name.clone()).collect()
    }
}

/// Builds the schema and what is looked up in it.
pub(crate) fn build(classes: &BTreeMap<DataClass, Transform>) -> Result<(Schema, Types, Actions), PolicyError> {
    let text = SCHEMA_TEMPLATE.replace("@DATA_CLASSES@", &class_names(classes)?);
    let (schema, _) = Schema::from_cedarschema_str(&text).map_err(|error| broken(&error))?;
    let types = Types::new().map_err(|error| broken(&error))?;
    let hierarchy = schema.action_entities().map_err(|error| broken(&error))?;
    let by_name = schema
        .actions()
        .filter_map(|action| Some((Arc::from(action.id().unescaped()), hierarchy.get(action)?.clone())))
        .collect();
    Ok((schema, types, Actions { by_name, hierarchy }))
}

/// The names of the classes as a Cedar list.
fn class_names(classes: &BTreeMap<DataClass, Transform>) -> Result<String, PolicyError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut names = Vec::new();
    for class in classes.keys().map(DataClass::as_str) {
        if class.is_empty() || !class.chars().all(allowed) {
            return Err(PolicyError {
                help: Some("use letters, digits and _ - .".to_owned()),
                ..broken(&format!("`{}` cannot be the name of a data class", class.escape_debug()))
            });
        }
        names.push(format!("\"{class}\""));
    }
    Ok(names.join(", "))
}

fn broken(error: &dyn std::fmt::Display) -> PolicyError {
    let path = "sluice.cedarschema".to_owned();
    PolicyError { path, line: 0, column: 0, length: 0, message: error.to_string(), help: None }
}
