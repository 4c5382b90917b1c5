//! JSON as one reader cannot read it otherwise than another.
//!
//! Readers differ in which of two members of one name counts, so a text with such an object is none here. Some compare names
//! without case: where a name means something, no other member may be like it but for its case ([`Json::is_plain`]), and where
//! any may, no two members ([`Json::tells_names_apart`]).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is written at its shortest.
    Number(String),
    Text(String),
    List(Vec<Json>),
    /// In their order; no name occurs twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text, which is UTF-8 without a byte order mark; `None` if it is not JSON, has a name twice in one
    /// object, or is nested more than 128 deep.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Self::deserialize(&mut reader).ok()?;
        reader.end().ok().map(|()| value)
    }

    /// The member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The member, if it is there and not null.
    pub(crate) fn given(&self, name: &str) -> Option<&Self> {
        self.get(name).filter(|value| **value != Self::Null)
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is an object in which no member is called like one of these but for its case.
    pub(crate) fn is_plain(&self, names: &[&str]) -> bool {
        let Self::Object(members) = self else { return false };
        let is_like = |name: &str| names.iter().any(|known| folded(known) == folded(name));
        members.iter().all(|(name, _)| names.contains(&name.as_str()) || !is_like(name))
    }

    /// Whether no object in it has two members whose names are alike but for their case.
    pub(crate) fn tells_names_apart(&self) -> bool {
        match self {
            Self::Object(members) => {
                let mut names = std::collections::HashSet::new();
                members.iter().all(|(name, value)| names.insert(folded(name)) && value.tells_names_apart())
            }
            Self::List(items) => items.iter().all(Self::tells_names_apart),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => true,
        }
    }
}

/// Without case, as the readers that compare so do it: `ſ` is an `s`, and the sign for Kelvin a `k`.
fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

/// As JSON again, without spaces.
impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(text) => out.write_str(text),
            Self::Text(text) => write!(out, "{}", Quoted(text)),
            Self::List(items) => {
                out.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(out, "{}{item}", if at == 0 { "" } else { "," })?;
                }
                out.write_str("]")
            }
            Self::Object(members) => {
                out.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    write!(out, "{}{}:{value}", if at == 0 { "" } else { "," }, Quoted(name))?;
                }
                out.write_str("}")
            }
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text always has a form in JSON.
        out.write_str(&serde_json::to_string(self.0).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(value)
            .map(|number| Json::Number(number.to_string()))
            .ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let (mut object, mut names) = (Vec::new(), std::collections::HashSet::new());
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name occurs twice"));
            }
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_readers_read_differently_is_none() {
        for text in [
            "",
            "{",
            "{} {}",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"b":2,"a":3}}"#,
            "\u{feff}{}",
            "{'a':1}",
            "{a:1}",
            "[1,]",
            "NaN",
            "1e999",
            "01",
            r#""\ud800""#,
        ] {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), None);
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(deep(100).as_bytes()).is_some() && Json::parse(deep(200).as_bytes()).is_none());
    }

    #[test]
    fn names_that_are_alike_but_for_case_are_not_plain() {
        let plain = |text: &str| Json::parse(text.as_bytes()).unwrap().is_plain(&["method", "operationName", "task"]);
        assert!(plain(r#"{"method":1,"operationName":2,"other":3,"Other":4}"#) && plain("{}"));
        for text in [
            r#"{"Method":1}"#,
            r#"{"method":1,"METHOD":2}"#,
            r#"{"operationname":1}"#,
            r#"{"OperationName":1}"#,
            r#"{"ta\u017fk":1}"#,
            r#"{"tas\u212a":1}"#,
            "[]",
            "1",
        ] {
            assert!(!plain(text), "{text}");
        }
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map("\\PC{0,3}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_others_read(value in values()) {
            let text = value.to_string();
            let read = Json::parse(text.as_bytes()).unwrap();
            let again: serde_json::Value = serde_json::from_str(&read.to_string()).unwrap();
            prop_assert_eq!(again, value);
        }
    }
}
