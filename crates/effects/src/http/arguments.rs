//! What a call is given, as policies see it: every scalar under the names that lead to it, joined by `.`.

use model::effect::Named;

use super::request::TooMuch;
use crate::json::Json;
use crate::named_secrets::names_a_secret;
use crate::shown::MARK;

/// How many values the arguments of a request may have.
const MOST_VALUES: usize = 500;
/// How long they may be in all, in bytes: the journal has to hold them.
const MOST_BYTES: usize = 24 * 1024;

/// Why arguments are not understood: readers that compare names without case take one of the values for the other.
pub(super) const ALIKE: &str = "arguments whose names differ in nothing but case";

/// What may still be looked at of a request.
pub(super) struct Room {
    values: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { values: MOST_VALUES, bytes: MOST_BYTES }
    }
}

impl Room {
    /// Takes one value of so many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let (values, bytes) = (self.values.checked_sub(1), self.bytes.checked_sub(bytes));
        let (Some(values), Some(bytes)) = (values, bytes) else {
            return Err(TooMuch::Arguments(MOST_VALUES, MOST_BYTES));
        };
        *self = Self { values, bytes };
        Ok(())
    }

    /// All that an object holds, or a list: of that the number of each element's place is its name. `None` if readers differ
    /// in what it holds ([`ALIKE`]).
    pub(super) fn all_of(&mut self, given: &Json) -> Result<Option<Vec<Named>>, TooMuch> {
        if !given.tells_names_apart() {
            return Ok(None);
        }
        let mut out = Vec::new();
        match given {
            Json::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.flatten(item, Some(&at.to_string()), &mut out)?;
                }
            }
            given => self.flatten(given, None, &mut out)?,
        }
        Ok(Some(out))
    }

    /// The elements of a list stand under its name, all of them; of what is empty it is said that it is there.
    fn flatten(&mut self, value: &Json, name: Option<&str>, out: &mut Vec<Named>) -> Result<(), TooMuch> {
        let text = match value {
            Json::Object(members) if !members.is_empty() => {
                return members
                    .iter()
                    .try_for_each(|(member, value)| self.flatten(value, Some(&below(name, member)), out));
            }
            Json::List(items) if !items.is_empty() => {
                return items.iter().try_for_each(|item| self.flatten(item, name, out));
            }
            // Arguments that are empty are none.
            Json::Object(_) if name.is_none() => return Ok(()),
            Json::Text(_) | Json::Number(_) if name.is_some_and(names_a_secret) => MARK.to_owned(),
            Json::Text(text) if !reads_as_a_value(text) => text.clone(),
            other => other.to_string(),
        };
        self.add(name.unwrap_or_default(), &text, out)
    }

    /// One value.
    pub(super) fn add(&mut self, name: &str, text: &str, out: &mut Vec<Named>) -> Result<(), TooMuch> {
        self.take(name.len().saturating_add(text.len()))?;
        out.push((name.into(), text.into()));
        Ok(())
    }
}

/// Whether a text is written as another value is, or as such a text is then: in quotes.
fn reads_as_a_value(text: &str) -> bool {
    match Json::parse(text.as_bytes()) {
        Some(Json::Object(members)) => members.is_empty(),
        Some(Json::List(items)) => items.is_empty(),
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_)) => true,
        None => false,
    }
}

/// The name of a member of what has a name, or of the arguments themselves. A name may be empty.
pub(super) fn below(name: Option<&str>, member: &str) -> String {
    let member = member.replace('%', "%25").replace('.', "%2E");
    match name {
        Some(name) => format!("{name}.{member}"),
        None => member,
    }
}

/// The names that lead to an argument, as they were given: what policies see of one has no `.` and no `%`.
pub fn names(name: &str) -> impl Iterator<Item = String> {
    name.split('.').map(|name| name.replace("%2E", ".").replace("%25", "%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        let all = Room::default().all_of(&Json::parse(text.as_bytes()).unwrap()).unwrap()?;
        Some(all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn no_value_is_told_as_another_one() {
        for (text, expected) in [
            (r#"{"a":true,"b":"true"}"#, r#"a=true b="true""#),
            (r#"{"a":null,"b":"null"}"#, r#"a=null b="null""#),
            (r#"{"a":7,"b":"7","c":"07","d":"7 days"}"#, r#"a=7 b="7" c=07 d=7 days"#),
            (r#"{"a":{},"b":"{}","c":[],"d":"[]"}"#, r#"a={} b="{}" c=[] d="[]""#),
            (r#"{"a":"\"true\"","b":"\"","c":""}"#, r#"a="\"true\"" b=" c="#),
            (r#"{"a":"{\"b\":1}"}"#, r#"a={"b":1}"#),
            (r#"{"a":1e6,"b":1000000}"#, "a=1000000.0 b=1000000"),
        ] {
            assert_eq!(told(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_name_may_be_empty() {
        for (text, expected) in [
            (r#"{"":{"currency":"EUR"}}"#, ".currency=EUR"),
            (r#"{"":{"":{}}}"#, ".={}"),
            (r#"{"":{}}"#, "={}"),
            (r#"{".currency":"EUR"}"#, "%2Ecurrency=EUR"),
            (r#"{"":{"password":"C4NARY"}}"#, ".password=[secret]"),
            ("{}", ""),
            ("[]", ""),
        ] {
            assert_eq!(told(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn names_that_are_alike_but_for_case_are_not_understood() {
        for text in
            [r#"{"amount":1,"AMOUNT":1000000}"#, r#"{"a":{"sum":1,"\u017fum":2}}"#, r#"[[{"tasK":1,"tas\u212a":2}]]"#]
        {
            assert_eq!(told(text), None, "{text}");
        }
        assert_eq!(told(r#"{"a":{"b":1},"B":{"A":2}}"#).as_deref(), Some("a.b=1 B.A=2"));
    }

    #[test]
    fn names_are_told_as_they_were_given() {
        let name = below(Some(&below(Some(&below(None, "a.b")), "")), "c%2Ed");
        assert_eq!(names(&name).collect::<Vec<_>>(), ["a.b", "", "c%2Ed"]);
    }
}
