//! Masking of what HTTP carries: the bodies of answers (and, for the tape, of requests) as they come, and fields.
//!
//! A [`Plan`] says what becomes of the bodies of one route for one subject: which *places* in them hold values of a class (the
//! route's [`FieldRule`](model::http::FieldRule)s), and by the [`Lens`](crate::Lens) what *content* may show in all the rest. A
//! [`Body`] takes up what comes, takes its content codings off, and gives what may go out; [`Head`] does so with the fields
//! around it. What cannot be read where something may have to be hidden is refused ([`Unmaskable`]), and nothing further goes
//! out: there is no pass-through.
//!
//! Where a plan hides nothing bodies and fields go out as they came, to the byte and in their coding. They are read to be
//! counted, as far as they can be.
//!
//! # What is read
//!
//! | media type | by place | by content |
//! |---|---|---|
//! | JSON (`application/json`, `…+json`), NDJSON: one value or several one after another; `json-seq` | each scalar at or below a place | in strings, keys and numbers |
//! | `text/event-stream` | in the data of each event, and in other fields, where it is JSON | likewise, or as text |
//! | `text/csv`, `text/tab-separated-values` | the columns that are called as the last name of a place | in every value |
//! | `application/x-www-form-urlencoded` | likewise the members | in names and values |
//! | HTML, XML, `…+xml` | refused | as text, through character references |
//! | `text/…`, YAML and some more | refused | as text |
//! | gRPC whose messages are described ([`Plan::of_messages`]) | each scalar at or below a place | in texts, bytes that are a text, whole numbers and keys of maps |
//! | other gRPC, protocol buffers, CBOR and their like; `multipart/…`; images, archives, everything else | refused | refused, or by [`Opaque::Through`] as text up to the first NUL |
//! | none named | as JSON | as text |
//!
//! Text has to be in UTF-8 or another character set that contains ASCII, JSON in UTF-8. An HTTP message of gRPC is framed by
//! lengths and has no names in it: without the descriptors of its messages there is nothing to mask it by, so that where
//! anything may have to be hidden it is refused. With them a place is what it is in the JSON of the message, by the names that
//! are declared. A text is masked; anything else that is hidden is left out, and so is a field that is not described. What an
//! `Any` holds is not read, and one that holds anything is refused. Messages have at most [`Limits::record`] bytes.
//!
//! # What stands for a value
//!
//! * A string is masked by the transform of its class, as everywhere. One of more than 4 KiB is redacted, whatever the
//!   transform, as is what content shows and is longer than 256 bytes.
//! * **Numbers stay numbers.** One that is hidden is `null`, or by a transform that keeps the format other digits; truths are
//!   `null`. [`OnUnmaskable`](crate::OnUnmaskable) says whether it is to be zero and `false` instead, or refused.
//! * `null` stays `null`, and an empty value of a table or form stays empty.
//! * A key is never taken away. One that content shows to be a value is redacted, so that two of them may look alike.
//! * What is not hidden goes out as it was written: numbers to the last digit, escapes, blanks, the order of members, members
//!   with the same name (both are masked).
//!
//! Of numbers the whole ones are looked at, also those with a fraction of zeros or an exponent. Values are looked for in what
//! a text means: in JSON `\u0034` is a 4, in forms `%34` is, in HTML `&#52;` is. In what is spelt twice (JSON in a string of
//! JSON) they are looked for as the outer one means it, and the escapes of programs and of YAML are not read.
//!
//! # What is held back
//!
//! Of a text at most 255 bytes and what may still become a value ([`crate::ssh`]); a number, and a string that is masked whole,
//! until it ends; an event, a row, a member of a form until it is whole ([`Limits::record`]). What an event, a line or a row
//! completes goes out at once, also from within a content coding that was flushed.
//!
//! # Content codings
//!
//! `gzip`, `deflate` (also without zlib's header), `br` and `zstd`, one around the other. **What is masked goes out without a
//! coding**, not coded anew: an answer that is held to be masked and then compressed in small pieces would gain little, and the
//! pieces would tell of what was masked by their lengths. Codings must be whole and nothing may follow them. What decodes to
//! more than [`Limits::decoded`], or to more than [`Limits::ratio`] times what came, is refused when it does. A window of zstd
//! is at most 8 MiB, one of Brotli 16 MiB.
//!
//! # Requests
//!
//! [`asked`] leaves out of a request what its answer could not be masked with: ranges, deltas, codings that are not read, and
//! where places are hidden, conditions on entity tags, which may be digests of what is hidden. [`Plan::admits`] refuses an
//! answer that is a part all the same.
//!
//! ```
//! use masking::http::{Body, Change, Limits, Opaque, Plan};
//! use masking::{Keys, Lens, OnUnmaskable, RevealAsk, Settings};
//! use model::class::{DataClass, Transform};
//! use model::decision::Reveal;
//! use model::http::{FieldPath, FieldRule};
//!
//! let classes = [(DataClass::new("secret"), Transform::Redact)].into();
//! let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
//! let mut reveal = |_: RevealAsk<'_>| Reveal::Masked(None);
//! let lens = Lens::new(&Keys::derive(&[7; 32]), settings, &mut reveal);
//!
//! let rule = FieldRule { path: FieldPath::parse("$.customers[*].pin")?, classes: [DataClass::new("secret")].into(), form: model::http::FieldForm::Plain };
//! let plan = Plan::new(&lens, &[rule], Opaque::Refuse, Limits::default(), &mut reveal);
//! let mut body = Body::new(&[b"application/json"], &[], &plan)?;
//! assert_eq!(body.change(), Change::Rewritten);
//! let first = body.push(br#"{"customers": [{"id": 1.0, "pin": "12"#)?;
//! assert_eq!(first.bytes(), br#"{"customers": [{"id": 1.0, "pin": "#);
//! let second = body.push(br#"34"}]}"#)?;
//! assert_eq!(second.bytes(), br#""[secret]"}]}"#);
//! assert_eq!(second.disclosure().classes["secret"].masked, 1);
//! body.end()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod coding;
mod error;
mod events;
mod form;
mod grpc;
mod head;
mod json;
mod media;
pub mod message;
mod multipart;
mod path;
mod plan;
mod protobuf;
mod spelling;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod work;

pub use body::{Body, Change};
pub use error::Unmaskable;
pub use head::{Asked, Head, asked};
pub use plan::{Limits, Opaque, Plan};
pub use text::named;

pub use crate::masked::own;
