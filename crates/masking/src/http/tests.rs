//! Bodies in pieces, and what becomes of the values in them.

mod codings;
mod fields;
mod grpc;
mod invariance;
mod json;
mod media;
mod multipart;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::class::{DataClass, Transform};
use model::decision::Reveal;
use model::disclosure::{Counts, Disclosure};
use model::http::{FieldPath, FieldRule};

use super::*;
use crate::{Keys, Lens, Masked, OnUnmaskable, RevealAsk, Settings};

const CARD: &str = "4111111111111111";
const OTHER_CARD: &str = "5500005555555559";
const JSON: &str = "application/json";

/// Who sees what, of which route.
struct Case {
    hidden: Vec<&'static str>,
    transform: Transform,
    on_unmaskable: OnUnmaskable,
    rules: Vec<FieldRule>,
    opaque: Opaque,
    limits: Limits,
}

impl Case {
    /// Somebody who may see no value of these classes.
    fn hiding(hidden: &[&'static str]) -> Self {
        Self {
            hidden: hidden.to_vec(),
            transform: Transform::Redact,
            on_unmaskable: OnUnmaskable::Null,
            rules: Vec::new(),
            opaque: Opaque::Refuse,
            limits: Limits::default(),
        }
    }

    /// Somebody who may see nothing that content shows.
    fn all() -> Self {
        Self::hiding(&DataClass::BUILT_IN)
    }

    fn nothing() -> Self {
        Self::hiding(&[])
    }

    fn by(self, transform: Transform) -> Self {
        Self { transform, ..self }
    }

    /// With a rule of the route.
    fn rule(mut self, path: &str, class: &str) -> Self {
        let path = FieldPath::parse(path).unwrap();
        self.rules.push(FieldRule {
            path,
            classes: [DataClass::new(class)].into(),
            form: model::http::FieldForm::Plain,
        });
        self
    }

    fn plan(&self) -> Plan {
        let transform = |class: &str| (DataClass::new(class), self.transform.clone());
        let classes: BTreeMap<DataClass, Transform> =
            DataClass::BUILT_IN.iter().map(|class| transform(class)).collect();
        let settings = Settings { classes: &classes, on_unmaskable: self.on_unmaskable };
        let mut reveal = |ask: RevealAsk<'_>| {
            let (RevealAsk::Column(_, class) | RevealAsk::Class(class)) = ask;
            if self.hidden.contains(&class.as_str()) { Reveal::Masked(None) } else { Reveal::Clear }
        };
        let lens: Arc<Lens> = Lens::new(&Keys::derive(&[7; 32]), settings, &mut reveal);
        Plan::new(&lens, &self.rules, self.opaque, self.limits, &mut reveal)
    }

    /// What comes out of a body of this type when these pieces come in.
    fn pieces<'a>(&self, media: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Got, Unmaskable> {
        self.coded(media, &[], pieces)
    }

    fn coded<'a>(
        &self,
        media: &str,
        codings: &[&[u8]],
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Got, Unmaskable> {
        let mut body = Body::new(&[media.as_bytes()], codings, &self.plan())?;
        let mut got = Got::default();
        for piece in pieces {
            got.add(body.push(piece)?);
        }
        got.add(body.end()?);
        Ok(got)
    }

    /// The same at once, byte by byte, and in pieces of some lengths, which has to make no difference.
    fn whole(&self, media: &str, body: impl AsRef<[u8]>) -> Result<Got, Unmaskable> {
        let body = body.as_ref();
        let whole = self.pieces(media, [body]);
        for piece in [1, 2, 3, 7, 64] {
            let cut = self.pieces(media, body.chunks(piece));
            assert_eq!(cut, whole, "in pieces of {piece}: {}", body.escape_ascii());
        }
        whole
    }

    fn text(&self, media: &str, body: impl AsRef<[u8]>) -> String {
        self.whole(media, body).unwrap().text()
    }

    fn refusal(&self, media: &str, body: impl AsRef<[u8]>) -> Unmaskable {
        self.whole(media, body).unwrap_err()
    }
}

/// What came out of a body.
#[derive(Default, PartialEq, Clone)]
struct Got {
    bytes: Vec<u8>,
    disclosure: Disclosure,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {:?}", self.bytes.escape_ascii(), self.disclosure)
    }
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

fn masked(masked: u64) -> Counts {
    Counts { clear: 0, masked }
}

fn clear(clear: u64) -> Counts {
    Counts { clear, masked: 0 }
}
