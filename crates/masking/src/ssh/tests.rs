//! Streams in pieces, and what becomes of the values in them.

mod invariance;
mod silence;
mod terminal;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::class::{DataClass, Transform};
use model::decision::Reveal;
use model::disclosure::{Counts, Disclosure};

use super::*;
use crate::detect;
use crate::{Keys, Lens, OnUnmaskable, RevealAsk, Settings};

const CARD: &str = "4111111111111111";
const MASK: &str = "[card_number]";

/// A lens that hides these classes, by this transform.
fn hiding(hidden: &[&str], transform: Transform) -> Arc<Lens> {
    let classes: BTreeMap<DataClass, Transform> =
        DataClass::BUILT_IN.iter().map(|class| (DataClass::new(*class), transform.clone())).collect();
    let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
    Lens::new(&Keys::derive(&[7; 32]), settings, &mut |ask| {
        let (RevealAsk::Column(_, class) | RevealAsk::Class(class)) = ask;
        if hidden.contains(&class.as_str()) { Reveal::Masked(None) } else { Reveal::Clear }
    })
}

fn all_hidden() -> Arc<Lens> {
    hiding(&DataClass::BUILT_IN, Transform::Redact)
}

/// What came out of a stream.
#[derive(Default, PartialEq, Debug)]
struct Got {
    bytes: Vec<u8>,
    disclosure: Disclosure,
}

impl Got {
    fn add(&mut self, masked: Masked) {
        let (bytes, disclosure) = masked.into_parts();
        assert_eq!(disclosure.bytes, u64::try_from(bytes.len()).unwrap());
        self.bytes.extend(bytes);
        self.disclosure.add(&disclosure);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn counts(&self, class: &str) -> Counts {
        self.disclosure.classes.get(class).copied().unwrap_or_default()
    }
}

/// All that comes out when these pieces come in, without a silence between them.
fn pieces<'a>(mut stream: Stream, pieces: impl IntoIterator<Item = &'a [u8]>) -> Got {
    let mut got = Got::default();
    for piece in pieces {
        got.add(stream.push(piece));
    }
    got.add(stream.finish());
    assert_eq!(stream.holds(), 0);
    got
}

/// All that comes out when the bytes come one by one, with a silence behind each.
fn echoed(mut stream: Stream, text: &[u8]) -> Got {
    let mut got = Got::default();
    for byte in text.chunks(1) {
        got.add(stream.push(byte));
        got.add(stream.tick());
    }
    got.add(stream.finish());
    got
}

fn masked_text(text: &str) -> String {
    pieces(Stream::text(all_hidden()), [text.as_bytes()]).text()
}
