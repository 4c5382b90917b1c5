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

    /// All that an object holds, or a list: of that the number of each element's place is its name.
    pub(super) fn all_of(&mut self, given: &Json) -> Result<Vec<Named>, TooMuch> {
        let mut out = Vec::new();
        match given {
            Json::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.flatten(item, &at.to_string(), &mut out)?;
                }
            }
            given => self.flatten(given, "", &mut out)?,
        }
        Ok(out)
    }

    /// The elements of a list stand under its name, all of them; of what is empty it is said that it is there.
    fn flatten(&mut self, value: &Json, name: &str, out: &mut Vec<Named>) -> Result<(), TooMuch> {
        let text = match value {
            Json::Object(members) if !members.is_empty() => {
                return members.iter().try_for_each(|(member, value)| self.flatten(value, &below(name, member), out));
            }
            Json::List(items) if !items.is_empty() => {
                return items.iter().try_for_each(|item| self.flatten(item, name, out));
            }
            // Arguments that are empty are none.
            Json::Object(_) if name.is_empty() => return Ok(()),
            Json::Text(_) | Json::Number(_) if names_a_secret(name) => MARK.to_owned(),
            Json::Text(text) => text.clone(),
            other => other.to_string(),
        };
        self.add(name, &text, out)
    }

    /// One value.
    pub(super) fn add(&mut self, name: &str, text: &str, out: &mut Vec<Named>) -> Result<(), TooMuch> {
        self.take(name.len().saturating_add(text.len()))?;
        out.push((name.into(), text.into()));
        Ok(())
    }
}

/// The name of a member of what has a name.
pub(super) fn below(name: &str, member: &str) -> String {
    let member = member.replace('%', "%25").replace('.', "%2E");
    if name.is_empty() { member } else { format!("{name}.{member}") }
}
