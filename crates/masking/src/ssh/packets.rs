//! Packets of a protocol in which the target's bytes have places: SFTP, where a file is read by offset.
//!
//! A mask is as long as what it hides, so that no offset moves: stars, whatever the transform. A block is searched together
//! with what stands around it in the file, as a value may begin in one block and end in another.

use std::ops::Range;
use std::sync::Arc;

use model::class::DataClass;
use model::disclosure::{Counts, Disclosure};

use crate::detect::{self, Hints};
use crate::lens::Lens;
use crate::masked::Masked;

/// How many bytes in front of a block are to be searched with it: more than a private key of 4,096 bits has in PEM.
pub const BEFORE: u32 = 4096;
/// How many bytes behind it: more than a value has that is not a key.
pub const BEHIND: u32 = 512;

/// Gathers whole packets for a caller.
pub struct Packets {
    lens: Arc<Lens>,
    out: Vec<u8>,
    disclosure: Disclosure,
}

impl Packets {
    /// For whoever sees by this lens.
    pub fn new(lens: Arc<Lens>) -> Self {
        Self { lens, out: Vec::new(), disclosure: Disclosure::default() }
    }

    /// Takes up the lens of a new revision.
    pub fn set_lens(&mut self, lens: Arc<Lens>) {
        self.lens = lens;
    }

    /// Whether anything would be hidden in a file: otherwise nothing has to be read around a block.
    pub fn hides(&self) -> bool {
        self.lens.hides_by_content()
    }

    /// A packet without content of files: handles, names, attributes, and what Sluice itself says.
    pub fn bare(&mut self, packet: &[u8]) {
        self.out.extend_from_slice(packet);
    }

    /// A packet that ends with a part of a file: its beginning as it is to go out, and of `block` what is `shown` behind it, with
    /// as many bytes. A block with a NUL in it is no text and is shown as it is; what is found in it counts as seen.
    /// Returns what it discloses.
    pub fn content(&mut self, head: &[u8], block: &[u8], shown: Range<usize>) -> Disclosure {
        self.out.extend_from_slice(head);
        let start = self.out.len();
        self.out.extend_from_slice(block.get(shown.clone()).unwrap_or_default());
        let is_text = memchr::memchr(0, block).is_none();
        let mut part = Disclosure::default();
        let Self { lens, out, disclosure } = self;
        let painted = out.get_mut(start..).unwrap_or_default();
        detect::scan(block, Hints::default(), &mut |found| {
            let (from, to) = (found.start.max(shown.start), found.end.min(shown.end));
            let Some((class, mask)) = lens.content(found.detector).filter(|_| from < to) else { return };
            let is_hidden = mask.is_some() && is_text;
            if is_hidden {
                let range = from.saturating_sub(shown.start)..to.saturating_sub(shown.start);
                painted.get_mut(range).unwrap_or_default().fill(b'*');
            }
            // One that goes over the edge is counted where it begins.
            if shown.contains(&found.start) {
                count(&mut part, class, is_hidden);
            }
        });
        disclosure.add(&part);
        part.bytes = u64::try_from(shown.len()).unwrap_or(u64::MAX);
        part
    }

    /// The last so many bytes that wait.
    pub fn last(&self, count: usize) -> &[u8] {
        self.out.get(self.out.len().saturating_sub(count)..).unwrap_or_default()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What may go out.
    pub fn finish(&mut self) -> Masked {
        let bytes = std::mem::take(&mut self.out);
        let mut disclosure = std::mem::take(&mut self.disclosure);
        disclosure.bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Masked::new(bytes, disclosure)
    }
}

fn count(disclosure: &mut Disclosure, class: &DataClass, is_hidden: bool) {
    let counts = if is_hidden { Counts { clear: 0, masked: 1 } } else { Counts { clear: 1, masked: 0 } };
    disclosure.classes.entry(class.clone()).or_default().add(counts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keys, OnUnmaskable, Settings};
    use model::decision::Reveal;

    fn packets(hide: bool) -> Packets {
        let classes = [(DataClass::new("card_number"), model::class::Transform::Partial { keep_last: 4 })].into();
        let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
        let mut reveal = |_: crate::RevealAsk<'_>| if hide { Reveal::Masked(None) } else { Reveal::Clear };
        Packets::new(Lens::new(&Keys::derive(&[7; 32]), settings, &mut reveal))
    }

    const FILE: &[u8] = b"paid with 4111111111111111, thanks";

    #[test]
    fn a_value_is_hidden_wherever_the_file_is_cut_and_nothing_moves() {
        for cut in 1..FILE.len() {
            let mut out = packets(true);
            out.content(b"", FILE, 0..cut);
            out.content(b"", FILE, cut..FILE.len());
            let masked = out.finish();
            assert_eq!(masked.bytes(), b"paid with ****************, thanks", "cut at {cut}");
            assert_eq!(masked.disclosure().classes["card_number"], Counts { clear: 0, masked: 1 });
        }
    }

    #[test]
    fn who_may_see_it_sees_it_and_that_is_counted() {
        let mut out = packets(false);
        out.content(b"head", FILE, 0..FILE.len());
        let masked = out.finish();
        assert_eq!(masked.bytes(), [b"head", FILE].concat());
        assert_eq!(masked.disclosure().classes["card_number"], Counts { clear: 1, masked: 0 });
    }

    #[test]
    fn what_is_no_text_is_not_damaged() {
        let mut out = packets(true);
        let binary = [FILE, b"\0"].concat();
        out.content(b"", &binary, 0..binary.len());
        let masked = out.finish();
        assert_eq!(masked.bytes(), binary);
        assert_eq!(masked.disclosure().classes["card_number"], Counts { clear: 1, masked: 0 });
    }
}
