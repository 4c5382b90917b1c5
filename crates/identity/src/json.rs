//! JSON as tokens need it: a repeated name is an error at any depth (RFC 8725, 2.4 and RFC 7519, section 4), because two
//! readers might each take another of the two.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// An object: each name once.
pub(crate) type Object = BTreeMap<String, Json>;

/// A value. Numbers that are not whole and positive have no value: no claim that Sluice reads may be one.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Whole(u64),
    OtherNumber,
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

impl Json {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub(crate) const fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

impl Json {
    /// As somebody else wrote it, for people to see. Numbers that have no value here are not shown.
    pub(crate) fn shown(object: &Object) -> Value {
        Value::Object(object.iter().map(|(name, value)| (name.clone(), value.to_value())).collect())
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Whole(number) => (*number).into(),
            Self::OtherNumber => "(a number that is not whole, or negative)".into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(list) => list.iter().map(Self::to_value).collect(),
            Self::Object(object) => Self::shown(object),
        }
    }
}

/// Reads one object and nothing after it. The error tells where, never what.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Object, String> {
    match serde_json::from_slice(bytes).map_err(|error| error.to_string())? {
        Json::Object(object) => Ok(object),
        _ => Err(String::from("not an object")),
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or(Json::OtherNumber, Json::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut object = Object::new();
        while let Some((name, value)) = access.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is repeated"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_refused_at_any_depth() {
        assert!(parse_object(br#"{"a":1,"b":{"c":[{"d":null}]}}"#).is_ok());
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#] {
            assert!(parse_object(text.as_bytes()).unwrap_err().contains("repeated"), "{text}");
        }
    }

    #[test]
    fn only_whole_positive_numbers_have_a_value() {
        let object = parse_object(br#"{"a":7,"b":-7,"c":7.0,"d":7e0,"e":-0,"f":18446744073709551616}"#).unwrap();
        assert_eq!(object["a"], Json::Whole(7));
        for name in ["b", "c", "d", "e", "f"] {
            assert_eq!(object[name], Json::OtherNumber, "{name}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        let deep = "[".repeat(50_000);
        for text in ["", "[]", "1", "{} {}", "{}x", "\u{feff}{}", r#"{"a":"\ud800"}"#, "{'a':1}", deep.as_str()] {
            assert!(parse_object(text.as_bytes()).is_err());
        }
    }
}
