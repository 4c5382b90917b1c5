//! Other methods that a form asks for in its body, in place of the POST that brings it (HT-04).

use model::http::multipart::{self, PartHead};
use model::http::{Media, Syntax};

use super::call::{Body, Call};
use super::method::is_override;

/// How many methods one form may ask for, and how long one is.
const MOST_METHODS: usize = 8;
const LONGEST_METHOD: usize = 32;

/// Whether some take a method from a body of this kind: a form, or JSON in its place.
pub(super) fn may_ask(media: &Media) -> bool {
    matches!(media.syntax(), Syntax::Form | Syntax::Multipart | Syntax::Json)
}

/// The methods that the body of a POST asks for; or why that is not known. A body of which nobody says what it is may be a form:
/// some servers take it for one.
///
/// Readers differ in where a part or a name ends. So a name of those that ask is looked for anywhere in the body, and each has to be
/// one that was understood.
pub(super) fn overridden(call: &Call<'_>) -> Result<Vec<String>, &'static str> {
    let media = match (call.body, call.media) {
        (Body::None, _) => return Ok(Vec::new()),
        _ if call.method != "POST" => return Ok(Vec::new()),
        (_, None) => return Err("a body that does not say what it is"),
        (_, Some(media)) if !may_ask(media) => return Ok(Vec::new()),
        (_, Some(media)) => media,
    };
    let Body::Whole(body) = call.body else { return Err("a form that was not read") };
    if !media.is_utf8() {
        return Err("a form in another character set than UTF-8");
    }
    let mentioned = mentions(&decoded(body));
    if mentioned == 0 {
        return Ok(Vec::new());
    }
    let found = match media.syntax() {
        Syntax::Form => of_members(body),
        Syntax::Multipart => of_parts(media, body)?,
        _ => return Err("a method in a body of JSON"),
    };
    if found.len() == mentioned { bounded(found) } else { Err("a form that could be read in more than one way") }
}

/// How often the text, whatever its form, has a name that asks for a method, with nothing of a word around it.
fn mentions(text: &str) -> usize {
    let text = text.to_ascii_lowercase();
    let is_of_a_word = |character: Option<char>| character.is_some_and(|one| one.is_alphanumeric() || one == '_');
    let is_name = |(at, name): (usize, &str)| {
        let (before, behind) = (text.get(..at).unwrap_or_default(), text.get(at.saturating_add(name.len())..));
        let Some(before) = before.strip_suffix(['_', '.', '[', '$']).or_else(|| before.strip_suffix("x-http-")) else {
            return false;
        };
        !is_of_a_word(before.chars().next_back()) && !is_of_a_word(behind.and_then(|rest| rest.chars().next()))
    };
    text.match_indices("method").filter(|found| is_name(*found)).count()
}

/// Different ones, if they can be methods.
fn bounded(mut found: Vec<String>) -> Result<Vec<String>, &'static str> {
    found.sort();
    found.dedup();
    let is_bounded = found.len() <= MOST_METHODS && found.iter().all(|method| method.len() <= LONGEST_METHOD);
    if is_bounded { Ok(found) } else { Err("a form that asks for more than a method") }
}

/// Of `application/x-www-form-urlencoded`; some end a member at a semicolon too.
fn of_members(body: &[u8]) -> Vec<String> {
    let members = body.split(|byte| matches!(byte, b'&' | b';')).filter_map(|member| {
        let equals = member.iter().position(|byte| *byte == b'=').unwrap_or(member.len());
        let (name, value) = member.split_at_checked(equals)?;
        is_override(&decoded(name)).then(|| decoded(value.get(1..).unwrap_or_default()))
    });
    members.collect()
}

/// Of `multipart/form-data` and its like.
fn of_parts(media: &Media, body: &[u8]) -> Result<Vec<String>, &'static str> {
    let malformed = |_| "a form that could be read in more than one way";
    let delimiter = multipart::delimiter(media).map_err(malformed)?;
    let mut found = Vec::new();
    for part in multipart::parts(body, &delimiter).map_err(malformed)? {
        // Some take another field of the head for the name of a part that has none.
        let name = PartHead::read(part.head).map_err(malformed)?.name.ok_or("a part of a form without a name")?;
        if is_override(&name) || is_override(&decoded(name.as_bytes())) {
            found.push(String::from_utf8_lossy(part.content.trim_ascii()).into_owned());
        }
    }
    Ok(found)
}

/// What a name or a value of a form means (WHATWG URL, section 5.1), or of JSON, as far as it is ASCII.
fn decoded(text: &[u8]) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, behind)) = rest.split_first() {
        let escaped = match (first, behind) {
            (b'%', [high, low, behind @ ..]) | (b'\\', [b'u', b'0', b'0', high, low, behind @ ..]) => {
                hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, behind))
            }
            _ => None,
        };
        let (byte, behind) = escaped.unwrap_or((if *first == b'+' { b' ' } else { *first }, behind));
        out.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
