//! What the classification and the catalog say together.

use std::collections::{BTreeSet, HashMap};

use model::class::{DataClass, Labels, Marking};
use model::classification::Classification;
use model::effect::{ColumnName, TableName};

use super::Catalog;
use super::analyse::shape_of;
use super::catalog::{Relation, ViewColumn};

/// System relations whose columns hold values of tables, texts of statements, or credentials; they carry `secret`
/// whatever the classification says. `*` is every column. `pg_stat_statements` may be in any schema.
const SECRET: &[(&str, &[&str])] = &[
    ("pg_statistic", &["stavalues1", "stavalues2", "stavalues3", "stavalues4", "stavalues5"]),
    ("pg_statistic_ext_data", &["stxdmcv", "stxdexpr"]),
    (
        "pg_stats",
        &[
            "most_common_vals",
            "histogram_bounds",
            "most_common_elems",
            "range_bounds_histogram",
            "range_length_histogram",
        ],
    ),
    ("pg_stats_ext", &["most_common_vals"]),
    ("pg_stats_ext_exprs", &["most_common_vals", "histogram_bounds", "most_common_elems"]),
    // What rows hold that are older than the column.
    ("pg_attribute", &["attmissingval"]),
    ("pg_stat_activity", &["query"]),
    ("pg_stat_wal_receiver", &["conninfo"]),
    ("pg_backend_memory_contexts", &["ident"]),
    ("pg_stat_statements", &["query"]),
    ("pg_prepared_statements", &["statement"]),
    ("pg_cursors", &["statement"]),
    ("pg_authid", &["rolpassword"]),
    ("pg_shadow", &["passwd"]),
    ("pg_user_mapping", &["umoptions"]),
    ("pg_user_mappings", &["umoptions"]),
    ("pg_foreign_server", &["srvoptions"]),
    ("pg_subscription", &["subconninfo"]),
    ("pg_largeobject", &["data"]),
    ("pg_file_settings", &["setting"]),
    ("pg_hba_file_rules", &["*"]),
    ("pg_ident_file_mappings", &["*"]),
    ("foreign_server_options", &["option_value"]),
    ("user_mapping_options", &["option_value"]),
    ("_pg_user_mappings", &["umoptions"]),
    ("_pg_foreign_servers", &["srvoptions"]),
];

/// Every column's marking: the classification's rules, what partitions and children share with their parents, what
/// views show of their base columns, and the shipped classification of system catalogs that hold data.
pub fn labels(catalog: &Catalog, target: &str, classification: &Classification) -> Labels {
    let mut marks: HashMap<(u32, i16), Marking> = HashMap::new();
    for relation in catalog.all_relations() {
        for column in &relation.columns {
            let name = relation.full_name(column);
            let marking = own_marking(catalog, target, classification, &name);
            if marking != Marking::Unmarked {
                marks.insert((relation.oid, column.number), marking);
            }
        }
    }
    share_with_family(catalog, &mut marks);
    let views: Vec<&Relation> = catalog.all_relations().filter(|relation| relation.view.is_some()).collect();
    let shown: Vec<_> = views.iter().flat_map(|view| view_marks(catalog, view, &marks)).collect();
    marks.extend(shown);
    let mut labels = Labels::default();
    for relation in catalog.all_relations() {
        for column in &relation.columns {
            let Some(marking) = marks.remove(&(relation.oid, column.number)) else { continue };
            let name = relation.full_name(column);
            if matches!(marking, Marking::Classes(_)) {
                labels.classified.entry(relation.name.clone()).or_default().insert(name.clone());
            }
            labels.columns.insert(name, marking);
        }
        let parents = ancestors(catalog, relation);
        if !parents.is_empty() {
            labels.parents.insert(relation.name.clone(), parents);
        }
    }
    labels
}

fn own_marking(catalog: &Catalog, target: &str, classification: &Classification, column: &ColumnName) -> Marking {
    let marking = classification.marking(target, catalog.database(), column);
    let table = &*column.table.name;
    let system = matches!(&*column.table.schema, "pg_catalog" | "information_schema") || table == "pg_stat_statements";
    let secret = system
        && SECRET
            .iter()
            .any(|(name, columns)| *name == table && (columns.contains(&"*") || columns.contains(&&*column.name)));
    if secret { with(marking, &BTreeSet::from([DataClass::new("secret")])) } else { marking }
}

/// A marking and more classes.
fn with(marking: Marking, more: &BTreeSet<DataClass>) -> Marking {
    match marking {
        marking if more.is_empty() => marking,
        Marking::Classes(mut classes) => {
            classes.extend(more.iter().cloned());
            Marking::Classes(classes)
        }
        Marking::Unmarked | Marking::Public => Marking::Classes(more.clone()),
    }
}

/// A child's column carries what its parent's does, and the other way round: reading the parent reads the child.
fn share_with_family(catalog: &Catalog, marks: &mut HashMap<(u32, i16), Marking>) {
    let mut pairs = Vec::new();
    for child in catalog.all_relations() {
        for parent in child.parents.iter().filter_map(|oid| catalog.relation_by_oid(*oid)) {
            for column in &parent.columns {
                if let Some(same) = child.column_named(&column.name) {
                    pairs.push(((parent.oid, column.number), (child.oid, same.number)));
                }
            }
        }
    }
    // Each round carries a class one generation further; there are at most as many rounds as generations.
    loop {
        let mut changed = false;
        for (parent, child) in &pairs {
            for (from, to) in [(parent, child), (child, parent)] {
                let classes: BTreeSet<DataClass> =
                    marks.get(from).into_iter().flat_map(Marking::classes).cloned().collect();
                let before = marks.get(to).cloned().unwrap_or_default();
                let after = with(before.clone(), &classes);
                if after != before {
                    marks.insert(*to, after);
                    changed = true;
                }
            }
            if marks.get(parent) == Some(&Marking::Public) && !marks.contains_key(child) {
                marks.insert(*child, Marking::Public);
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// The markings of a view's columns.
fn view_marks(catalog: &Catalog, view: &Relation, marks: &HashMap<(u32, i16), Marking>) -> Vec<((u32, i16), Marking)> {
    let shape = shape_of(catalog, view);
    let under = || {
        let relations = shape.under.iter().filter_map(|oid| catalog.relation_by_oid(*oid));
        relations.flat_map(|relation| relation.columns.iter().map(|column| (relation.oid, column.number)))
    };
    let mut found = Vec::new();
    for (at, column) in view.columns.iter().enumerate() {
        let key = (view.oid, column.number);
        let own = marks.get(&key).cloned().unwrap_or_default();
        let bases: Vec<(u32, i16)> = match shape.columns.get(at) {
            Some(ViewColumn::Constant) => Vec::new(),
            Some(ViewColumn::Plain(oid, number)) => vec![(*oid, *number)],
            Some(ViewColumn::Derived(cols)) => cols.clone(),
            Some(ViewColumn::Unknown) | None => under().collect(),
        };
        let classes: BTreeSet<DataClass> =
            bases.iter().filter_map(|base| marks.get(base)).flat_map(Marking::classes).cloned().collect();
        let mut marking = with(own, &classes);
        if let ([base], Marking::Unmarked, Some(ViewColumn::Plain(..))) =
            (bases.as_slice(), &marking, shape.columns.get(at))
        {
            marking = marks.get(base).cloned().unwrap_or_default();
        }
        if marking != Marking::Unmarked {
            found.push((key, marking));
        }
    }
    found
}

/// A relation's parents, theirs after them.
fn ancestors(catalog: &Catalog, relation: &Relation) -> Vec<TableName> {
    let mut seen: Vec<u32> = Vec::new();
    let mut next: Vec<u32> = relation.parents.clone();
    while let Some(oid) = next.first().copied() {
        next.remove(0);
        if seen.contains(&oid) {
            continue;
        }
        seen.push(oid);
        if let Some(parent) = catalog.relation_by_oid(oid) {
            next.extend(parent.parents.iter().copied());
        }
    }
    seen.iter().filter_map(|oid| Some(catalog.relation_by_oid(*oid)?.name.clone())).collect()
}
