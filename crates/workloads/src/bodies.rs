//! Bodies of answers of HTTP, and what a subject may see of them.

use std::fmt::Write;

use anyhow::Result;
use masking::RevealAsk;
use masking::http::{Body, Limits, Opaque, Plan};
use model::class::DataClass;
use model::decision::Reveal;
use model::http::{FieldPath, FieldRule};

use crate::rows::{Shape, lens};

/// What is asked of the masks.
#[derive(Clone, Copy, Debug)]
pub struct Document {
    /// How many bytes it has, about.
    pub length: usize,
    /// Whether there are values in it that content shows: an address, a card number and a social security number each time.
    pub telling: bool,
    /// How many rules say which members of a customer are hidden. The first two of them are there.
    pub rules: usize,
}

impl Document {
    /// An array of customers in JSON.
    pub fn text(self) -> String {
        let mut text = String::from("{\"page\": 1, \"customers\": [");
        for number in 0u32.. {
            if text.len() >= self.length {
                break;
            }
            let (contact, paid, reference) = match self.telling {
                true => ("anna.berg@example.com", "4111 1111 1111 1111", "078-05-1120"),
                false => ("by the web form", "on delivery to the driver", "A-7781-C"),
            };
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}\n  {{\"id\": {number}, \"name\": \"Anna Katharina Berg-Lindqvist\", \"contact\": \"{contact}\", \
                 \"paid\": \"{paid}\", \"reference\": \"{reference}\", \"total\": 249.90, \"open\": false, \"address\": \
                 {{\"street\": \"Harbour Street 12\", \"city\": \"Göteborg\", \"note\": null}}, \"tags\": [\"new\", \
                 \"paper \\\"only\\\"\"], \"member_0\": \"Berg\", \"address_1\": {{\"pin\": 1234}}}}"
            );
        }
        text.push_str("\n]}\n");
        text
    }

    /// What becomes of it for somebody who may see nothing.
    ///
    /// # Errors
    /// If a path is none.
    pub fn plan(self) -> Result<Plan> {
        let rule = |number: usize| {
            let path = FieldPath::parse(&match number {
                1 => "$.customers[*].address_1.pin".to_owned(),
                number => format!("$.customers[*].member_{number}"),
            })?;
            Ok(FieldRule { path, classes: [DataClass::new("person_name")].into(), form: model::http::FieldForm::Plain })
        };
        let rules: Vec<FieldRule> = (0..self.rules).map(rule).collect::<Result<_>>()?;
        let mut reveal = |_: RevealAsk<'_>| Reveal::Masked(None);
        Ok(Plan::new(&lens(Shape::TEXT), &rules, Opaque::Refuse, Limits::default(), &mut reveal))
    }
}

/// Puts a document through a body, in pieces as they are read; returns how many bytes come out.
///
/// # Errors
/// If it is refused.
pub fn mask(plan: &Plan, text: &str) -> Result<usize> {
    /// What comes at once from a socket.
    const PIECE: usize = 16 * 1024;
    let mut body = Body::new(&[b"application/json"], &[], plan)?;
    let mut length = 0usize;
    for piece in text.as_bytes().chunks(PIECE) {
        length = length.saturating_add(body.push(piece)?.bytes().len());
    }
    Ok(length.saturating_add(body.end()?.bytes().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_masked_where_they_tell_or_a_rule_says() {
        for (telling, rules) in [(false, 0), (true, 0), (false, 2), (true, 10)] {
            let document = Document { length: 20_000, telling, rules };
            let (plan, text) = (document.plan().unwrap(), document.text());
            let mut body = Body::new(&[b"application/json"], &[], &plan).unwrap();
            let masked = body.push(text.as_bytes()).unwrap();
            body.end().unwrap();
            let shown = String::from_utf8(masked.bytes().to_vec()).unwrap();
            assert_eq!(shown == text, !telling && rules == 0);
            assert_eq!(shown.contains("1234") || shown.contains("\"Berg\""), rules == 0);
            assert!(!shown.contains("anna.berg") && !shown.contains("4111 1111"));
            assert_eq!(mask(&plan, &text).unwrap(), shown.len());
        }
    }
}
