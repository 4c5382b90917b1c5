//! Types and casts, as far as they decide which users' functions can run and whether a value stays as it is.

use model::effect::{FunctionClass, TableName};
use model::lineage::Container;
use pg_raw_parse::nodes::{TypeCast, TypeName};

use super::operand::Operand;
use super::value::{Kind, Value};
use super::walk::Walk;
use crate::postgres::Missing;
use crate::postgres::catalog::{FIRST_USER_OID, Relation, Type, canonical_schema};

/// Built-in types that are named in the code (`pg_type.dat`).
pub(super) mod oid {
    pub(in crate::postgres) const BOOL: u32 = 16;
    pub(in crate::postgres) const INT8: u32 = 20;
    pub(in crate::postgres) const INT4: u32 = 23;
    pub(in crate::postgres) const TEXT: u32 = 25;
    pub(in crate::postgres) const UNKNOWN: u32 = 705;
    pub(in crate::postgres) const JSON: u32 = 114;
    pub(in crate::postgres) const VARCHAR: u32 = 1043;
    pub(in crate::postgres) const BIT: u32 = 1560;
    pub(in crate::postgres) const NUMERIC: u32 = 1700;
    pub(in crate::postgres) const JSONB: u32 = 3802;
    pub(in crate::postgres) const ANYARRAY: u32 = 2277;
    pub(in crate::postgres) const ANYENUM: u32 = 3500;
    pub(in crate::postgres) const ANYRANGE: u32 = 3831;
    pub(in crate::postgres) const ANYMULTIRANGE: u32 = 4537;
    pub(in crate::postgres) const ANYCOMPATIBLEARRAY: u32 = 5078;
    pub(in crate::postgres) const ANYCOMPATIBLERANGE: u32 = 5080;
    pub(in crate::postgres) const ANYCOMPATIBLEMULTIRANGE: u32 = 4538;
}

impl<'a> Walk<'a> {
    pub(super) fn type_cast(&mut self, cast: &TypeCast) -> Value {
        let value = self.expr(cast.arg());
        let Some(name) = cast.type_name() else { return self.opaque("it has a cast without a type") };
        let ty = self.uses_type(name);
        self.user_casts(&value, ty);
        self.may_fail_as(Operand::new(&value, cast.arg()), ty, !name.typmods().is_empty());
        let plain = name.typmods().is_empty() && name.array_bounds().is_empty();
        let kept = plain && ty != 0 && self.keeps(&value, ty);
        if kept {
            return Value { ty, literal: false, ..value };
        }
        // What is built of parts is quoted when it becomes a text.
        let built = matches!(value.kind, Kind::Members(..)) || self.element_of(value.ty).is_some();
        let size = value.size.saturating_mul(if built { 2 } else { 1 });
        Value { size, ..Value::computed([&value], ty) }
    }

    /// Whether a cast without a type modifier leaves the value as it is.
    fn keeps(&self, value: &Value, ty: u32) -> bool {
        let text = |ty: u32| matches!(ty, oid::TEXT | oid::VARCHAR);
        let same = value.ty == ty || (text(value.ty) && text(ty));
        match &value.kind {
            Kind::Constant => true,
            Kind::Column(_) => same,
            Kind::Members(Container::JsonObject | Container::JsonArray | Container::JsonArrayOf, _) => {
                matches!(ty, oid::JSON | oid::JSONB)
            }
            Kind::Members(..) | Kind::Derived(_) | Kind::Unknown(_) => false,
        }
    }

    /// Users' casts that can turn the value into `ty`, its elements and fields included.
    pub(super) fn user_casts(&mut self, value: &Value, ty: u32) {
        if ty == 0 || ty == value.ty || value.literal || !self.catalog.has_user_casts() {
            return;
        }
        self.casts_between(value.ty, ty, 0);
        let Kind::Members(container, parts) = &value.kind else { return };
        if *container == Container::ArrayOf {
            let element = self.element_of(ty).unwrap_or(0);
            parts.iter().for_each(|part| self.user_casts(&part.value, element));
        } else if let Some(relation) = self.composite(ty) {
            for (part, column) in parts.iter().zip(&relation.columns) {
                self.user_casts(&part.value, column.ty);
            }
        }
    }

    fn casts_between(&mut self, source: u32, target: u32, depth: usize) {
        let (source, target) = (self.base_type(source), self.base_type(target));
        if source == target && source != 0 || depth > 16 {
            return;
        }
        let catalog = self.catalog;
        for (from, function) in catalog.user_casts_to(target) {
            if source == 0 || source == from {
                self.executes(function.clone(), FunctionClass::Unknown);
            }
        }
        if let (Some(one), Some(other)) = (self.element_of(source), self.element_of(target)) {
            self.casts_between(one, other, depth + 1);
        }
        if let (Some(one), Some(other)) = (self.composite(source), self.composite(target)) {
            for (one, other) in one.columns.iter().zip(&other.columns) {
                self.casts_between(one.ty, other.ty, depth + 1);
            }
        }
    }

    /// A value becomes JSON: by users' casts, where they made such for its types.
    pub(super) fn casts_to_json(&mut self, value: &Value, depth: usize) {
        if value.literal || depth > 16 || !self.catalog.has_user_casts() {
            return;
        }
        match &value.kind {
            Kind::Members(_, parts) => parts.iter().for_each(|part| self.casts_to_json(&part.value, depth + 1)),
            _ => self.type_to_json(value.ty, depth),
        }
    }

    fn type_to_json(&mut self, ty: u32, depth: usize) {
        self.casts_between(ty, oid::JSON, 0);
        if depth > 16 {
            return;
        }
        if let Some(element) = self.element_of(ty) {
            self.type_to_json(element, depth + 1);
        }
        for column in self.composite(ty).into_iter().flat_map(|relation| &relation.columns) {
            self.type_to_json(column.ty, depth + 1);
        }
    }

    /// A type is used by name: its own functions may run. Answers with its oid, 0 if it is not certain.
    pub(super) fn uses_type(&mut self, name: &TypeName) -> u32 {
        let Some(ty) = self.find_type(name) else {
            self.opaque(Missing::Type.reason());
            return 0;
        };
        for modifier in name.typmods() {
            let start = self.roles.len();
            self.expr_or_keyword(modifier);
            self.role_of_all(start, &model::lineage::LiteralRole::Plain);
        }
        self.type_functions(ty, 0);
        self.collates |= ty.collated;
        if name.array_bounds().is_empty() { ty.oid } else { ty.array }
    }

    /// A type modifier is a constant, or a bare word such as PostGIS's `geometry(Point, 4326)`.
    fn expr_or_keyword(&mut self, node: pg_raw_parse::Node<'_>) {
        if !matches!(node, pg_raw_parse::Node::ColumnRef(_)) {
            self.expr(node);
        }
    }

    pub(super) fn find_type(&self, name: &TypeName) -> Option<&'a Type> {
        let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
        if name.pct_type || name.setof {
            return None;
        }
        self.type_named(&names)
    }

    /// The type of a possibly qualified name.
    pub(super) fn type_named(&self, names: &[&str]) -> Option<&'a Type> {
        match names {
            [name] => self.path().find_map(|schema| self.catalog.type_named(schema, name)),
            [schema, name] => self.catalog.type_named(canonical_schema(schema), name),
            [database, schema, name] if *database == self.catalog.database() => {
                self.catalog.type_named(canonical_schema(schema), name)
            }
            _ => None,
        }
    }

    /// The input function of an extension's type, and the checks of domains.
    pub(super) fn type_functions(&mut self, ty: &'a Type, depth: usize) {
        for function in ty.checks.iter().chain(&ty.input) {
            self.executes(function.clone(), FunctionClass::Unknown);
        }
        if depth >= 16 {
            return;
        }
        let inner = if ty.kind == b'd' { ty.base } else { ty.element };
        let fields = self.catalog.relation_by_oid(ty.relation).filter(|_| ty.kind == b'c');
        let fields = fields.into_iter().flat_map(|relation| relation.columns.iter().map(|column| column.ty));
        for inner in std::iter::once(inner).chain(fields).filter(|inner| *inner >= FIRST_USER_OID) {
            if let Some(inner) = self.catalog.type_by_oid(inner) {
                self.type_functions(inner, depth + 1);
            }
        }
    }

    /// Values are written to a column of this type.
    pub(super) fn writes_type(&mut self, ty: u32) {
        if ty >= FIRST_USER_OID
            && let Some(ty) = self.catalog.type_by_oid(ty)
        {
            self.type_functions(ty, 0);
        }
    }

    /// A domain's base type; any other type itself.
    pub(super) fn base_type(&self, mut ty: u32) -> u32 {
        for _ in 0..16 {
            match self.catalog.type_by_oid(ty) {
                Some(domain) if domain.kind == b'd' => ty = domain.base,
                _ => break,
            }
        }
        ty
    }

    /// Whether a field or an element in it has a collation of its own.
    pub(super) fn holds_collated(&self, ty: u32, depth: usize) -> bool {
        if ty < FIRST_USER_OID {
            return false;
        }
        let Some(ty) = self.catalog.type_by_oid(ty) else { return false };
        let within = |ty: u32| self.holds_collated(ty, depth + 1);
        let of_row = |row: &Relation| row.columns.iter().any(|column| column.collated || within(column.ty));
        depth > 16
            || ty.collated
            || within(ty.base)
            || within(ty.element)
            || self.catalog.relation_by_oid(ty.relation).is_some_and(of_row)
    }

    /// The columns of a composite type.
    pub(super) fn composite(&self, ty: u32) -> Option<&'a Relation> {
        let ty = self.catalog.type_by_oid(self.base_type(ty))?;
        self.catalog.relation_by_oid(ty.relation)
    }

    /// Whether an argument of type `given` can be passed where `wanted` is: true unless it certainly cannot.
    pub(super) fn accepts(&self, given: u32, wanted: u32) -> bool {
        if given == 0 || given == wanted {
            return true;
        }
        let (given, wanted) = (self.base_type(given), self.base_type(wanted));
        if given == wanted {
            return true;
        }
        let (Some(from), Some(to)) = (self.catalog.type_by_oid(given), self.catalog.type_by_oid(wanted)) else {
            return true;
        };
        // Pseudo-types take anything, but these only what is of the kind; composite types have rules of their own.
        match wanted {
            oid::ANYRANGE | oid::ANYCOMPATIBLERANGE => return from.kind == b'r' || from.kind == b'p',
            oid::ANYMULTIRANGE | oid::ANYCOMPATIBLEMULTIRANGE => return from.kind == b'm' || from.kind == b'p',
            oid::ANYENUM => return from.kind == b'e' || from.kind == b'p',
            oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => return from.element != 0 || from.kind == b'p',
            _ => {}
        }
        if to.kind == b'p' || from.kind == b'p' || from.kind == b'c' {
            return true;
        }
        if from.element != 0 && to.element != 0 {
            return self.accepts(from.element, to.element);
        }
        self.catalog.cast(given, wanted).is_some_and(|cast| cast.implicit)
    }

    /// What a function's name and schema are for the record.
    pub(super) fn builtin(name: &str) -> TableName {
        TableName::new("pg_catalog", name)
    }
}
