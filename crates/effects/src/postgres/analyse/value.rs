//! Where the value of an expression comes from, while it is worked out.

use std::sync::Arc;

use model::lineage::Container;

use super::types::oid;
use super::walk::Spot;

/// A column: its relation's oid and its number there.
pub(super) type Col = (u32, i16);

/// The value of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    /// The type's oid if it is certain, else 0. Only ever used to rule users' functions and operators *out*.
    pub(super) ty: u32,
    /// What of the statement itself may be in it.
    pub(super) given: Givens,
    /// A constant of the text that has no type of its own yet: it is what it is used as before anything runs.
    pub(super) literal: bool,
    /// Whether it is computed anew where it is used, and that can be seen from outside (`total.rs`).
    pub(super) seen: bool,
    /// Whether it is another one in each row, such as a column of VALUES.
    pub(super) many: bool,
    /// How many times longer it may be than what is stored or stands in the text.
    pub(super) size: u32,
}

/// Longer than this many times is of any size.
pub(super) const LARGE: u32 = 4096;

/// The constants and parameters whose value may be in another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Givens {
    /// Sorted, without repetition, at most [`MOST_GIVENS`].
    These(Vec<Spot>),
    /// Any of the statement.
    Any,
}

/// How many are told apart in one value; more are any.
const MOST_GIVENS: usize = 64;

impl Givens {
    pub(super) const NONE: Self = Self::These(Vec::new());

    pub(super) fn one(spot: Spot) -> Self {
        Self::These(vec![spot])
    }

    pub(super) fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::These(spots), Self::These(others)) => {
                if others.is_empty() {
                    return;
                }
                spots.extend_from_slice(others);
                spots.sort_unstable();
                spots.dedup();
                if spots.len() > MOST_GIVENS {
                    *self = Self::Any;
                }
            }
            (Self::Any, _) | (_, Self::Any) => *self = Self::Any,
        }
    }
}

/// See [`model::lineage::Origin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Constant,
    Column(Col),
    /// Sorted, without repetition, not empty.
    Derived(Vec<Col>),
    Members(Container, Vec<Part>),
    /// Not proved; these columns are certainly among its sources.
    Unknown(Vec<Col>),
}

/// One part of a constructed value. Rows have names too: they become keys when the row becomes JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: Option<Arc<str>>,
    pub(super) value: Value,
}

impl Value {
    pub(super) const fn constant(ty: u32) -> Self {
        Self::of(Kind::Constant, ty, Givens::NONE)
    }

    pub(super) const fn of(kind: Kind, ty: u32, given: Givens) -> Self {
        Self { kind, ty, given, literal: false, seen: false, many: false, size: 1 }
    }

    pub(super) const fn column(col: Col, ty: u32) -> Self {
        Self::of(Kind::Column(col), ty, Givens::NONE)
    }

    pub(super) const fn unknown(cols: Vec<Col>) -> Self {
        Self::of(Kind::Unknown(cols), 0, Givens::Any)
    }

    pub(super) fn members(container: Container, parts: Vec<Part>) -> Self {
        let size = parts.iter().map(|part| part.value.size).max().unwrap_or(1);
        Self { size, ..Self::of(Kind::Members(container, parts), 0, Givens::NONE) }
    }

    /// Computed from these columns; a constant if there are none.
    pub(super) fn derived(mut cols: Vec<Col>, ty: u32) -> Self {
        cols.sort_unstable();
        cols.dedup();
        let kind = if cols.is_empty() { Kind::Constant } else { Kind::Derived(cols) };
        Self::of(kind, ty, Givens::NONE)
    }

    /// A constant or parameter of the statement.
    pub(super) fn given(spot: Spot, ty: u32) -> Self {
        Self { given: Givens::one(spot), ..Self::constant(ty) }
    }

    /// What of the statement itself may be in it, its parts included.
    pub(super) fn givens(&self) -> Givens {
        let mut all = self.given.clone();
        if let Kind::Members(_, parts) = &self.kind {
            parts.iter().for_each(|part| all.add(&part.value.givens()));
        }
        all
    }

    /// Computed from all of `values`.
    pub(super) fn computed<'v>(values: impl IntoIterator<Item = &'v Self>, ty: u32) -> Self {
        let mut cols = Vec::new();
        let mut unknown = false;
        let mut given = Givens::NONE;
        let (mut size, mut many) = (1, false);
        for value in values {
            unknown |= value.is_unknown();
            many |= value.is_many();
            value.add_cols(&mut cols);
            size = size.max(value.size);
            // Nothing of what is compared is in the truth of it.
            if ty != oid::BOOL {
                given.add(&value.givens());
            }
        }
        let value = Self { given, size, many, ..Self::derived(cols, ty) };
        if !unknown {
            return value;
        }
        let mut cols = Vec::new();
        value.add_cols(&mut cols);
        Self { kind: Kind::Unknown(cols), ..value }
    }

    /// The same, as a column of a query: a constant without a type is a text there.
    pub(super) fn settled(self) -> Self {
        let ty = if self.literal && self.ty == 0 { oid::TEXT } else { self.ty };
        Self { ty, literal: false, ..self }
    }

    /// One of two values, as in UNION.
    pub(super) fn either(&self, other: &Self) -> Self {
        let ty = if self.ty == other.ty { self.ty } else { 0 };
        let mut given = self.given.clone();
        given.add(&other.given);
        let seen = self.seen || other.seen;
        let many = self.many || other.many;
        let literal = self.literal && other.literal;
        let of = |kind: Kind| Self {
            seen,
            literal,
            many,
            size: self.size.max(other.size),
            ..Self::of(kind, ty, given.clone())
        };
        if self.kind == other.kind {
            return of(self.kind.clone());
        }
        match (&self.kind, &other.kind) {
            (Kind::Members(..), Kind::Constant) => of(self.kind.clone()),
            (Kind::Constant, Kind::Members(..)) => of(other.kind.clone()),
            (Kind::Members(one, left), Kind::Members(two, right))
                if one == two && left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.name == b.name) =>
            {
                let parts = left.iter().zip(right);
                let parts =
                    parts.map(|(a, b)| Part { name: a.name.clone(), value: a.value.either(&b.value) }).collect();
                of(Kind::Members(*one, parts))
            }
            _ => Self { seen, ..Self::computed([self, other], ty) },
        }
    }

    /// One of several, as in COALESCE.
    pub(super) fn any_of(values: &[Self]) -> Self {
        let mut values = values.iter();
        let Some(first) = values.next() else { return Self::constant(0) };
        values.fold(first.clone(), |all, value| all.either(value))
    }

    /// Whether there is anything in it that was not proved.
    pub(super) fn is_unknown(&self) -> bool {
        match &self.kind {
            Kind::Unknown(_) => true,
            Kind::Members(_, parts) => parts.iter().any(|part| part.value.is_unknown()),
            Kind::Constant | Kind::Column(_) | Kind::Derived(_) => false,
        }
    }

    /// Whether it depends on no column, provably.
    pub(super) fn is_constant(&self) -> bool {
        match &self.kind {
            Kind::Constant => true,
            Kind::Members(_, parts) => parts.iter().all(|part| part.value.is_constant()),
            Kind::Column(_) | Kind::Derived(_) | Kind::Unknown(_) => false,
        }
    }

    /// Whether it, or a part of it, is another one in each row.
    pub(super) fn is_many(&self) -> bool {
        match &self.kind {
            Kind::Members(_, parts) => self.many || parts.iter().any(|part| part.value.is_many()),
            _ => self.many,
        }
    }

    /// Whether it is one constant for the whole statement, provably.
    pub(super) fn is_one_constant(&self) -> bool {
        self.is_constant() && !self.is_many()
    }

    /// Adds every column that it depends on.
    pub(super) fn add_cols(&self, out: &mut Vec<Col>) {
        match &self.kind {
            Kind::Constant => {}
            Kind::Column(col) => out.push(*col),
            Kind::Derived(cols) | Kind::Unknown(cols) => out.extend_from_slice(cols),
            Kind::Members(_, parts) => parts.iter().for_each(|part| part.value.add_cols(out)),
        }
    }

    /// Every column that it depends on, sorted.
    pub(super) fn cols(&self) -> Vec<Col> {
        let mut cols = Vec::new();
        self.add_cols(&mut cols);
        cols.sort_unstable();
        cols.dedup();
        cols
    }

    /// The one column that it shows unchanged.
    pub(super) const fn bare(&self) -> Option<Col> {
        match self.kind {
            Kind::Column(col) => Some(col),
            _ => None,
        }
    }

    /// What JSON functions make of it: rows become objects, arrays become arrays.
    pub(super) fn as_json(&self) -> Self {
        match &self.kind {
            Kind::Members(Container::Row, parts) if parts.iter().all(|part| part.name.is_some()) => {
                let parts = parts.iter();
                let parts = parts.map(|part| Part { name: part.name.clone(), value: part.value.as_json() }).collect();
                Self::members(Container::JsonObject, parts)
            }
            Kind::Members(Container::ArrayOf, parts) => {
                let parts = parts.iter().map(|part| Part { name: None, value: part.value.as_json() }).collect();
                Self::members(Container::JsonArrayOf, parts)
            }
            _ => self.clone(),
        }
    }
}

/// The columns of a query, a CTE or RETURNING.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    pub(super) columns: Vec<(Arc<str>, Value)>,
    /// Whether there may be more or fewer columns than these.
    pub(super) wild: bool,
}

impl Outputs {
    /// Everything in one value.
    pub(super) fn all(&self) -> Value {
        let value = Value::computed(self.columns.iter().map(|(_, value)| value), 0);
        if self.wild { Value::unknown(value.cols()) } else { value }
    }

    /// Its only or first column.
    pub(super) fn first(&self) -> Value {
        match self.columns.first() {
            Some((_, value)) if !self.wild => value.clone(),
            _ => Value::unknown(self.all().cols()),
        }
    }

    /// Either these or those rows.
    pub(super) fn either(&self, other: &Self) -> Self {
        let wild = self.wild || other.wild || self.columns.len() != other.columns.len();
        let pairs = self.columns.iter().zip(&other.columns);
        let columns = pairs.map(|((name, a), (_, b))| (Arc::clone(name), a.either(b))).collect();
        if wild {
            let all = Value::unknown(Value::computed([&self.all(), &other.all()], 0).cols());
            return Self { columns: vec![("?column?".into(), all)], wild };
        }
        Self { columns, wild }
    }
}
