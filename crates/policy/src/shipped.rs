//! The files that `sluice init` writes out, as they were when Sluice was built.

/// `baseline.cedar`: what makes ordinary applications work, and the rules on classified columns (RULES.md 1-10).
pub const BASELINE: &str = include_str!("../shipped/baseline.cedar");

/// `sluice.cedarschema`, in which `@DATA_CLASSES@` stands for the revision's data classes.
pub const SCHEMA_TEMPLATE: &str = include_str!("../shipped/sluice.cedarschema");
