//! The journal as static files that other tools read: c2sp.org/tlog-tiles.
//!
//! ```text
//! checkpoint                       the signed tree head; never newer than the tiles
//! tile/<L>/<N>[.p/<W>]             256 hashes of level L (32 bytes each), or W of them: those of level 0 are of entries,
//!                                  each of those above is the root over a whole tile of the level below
//! tile/entries/<N>[.p/<W>]         256 entries, or W of them: length u16 (big-endian), and the entry's bytes
//! lock                             held by the one process that writes here
//! ```
//!
//! N is written as `x001/x234/067`. A tile is written once, when it is whole; until then there is what it holds at each
//! checkpoint (`.p/<W>`).

use crate::merkle::{self, Edge, Hash};

mod export;
mod verify;

pub use export::{Exported, TilesError, export};
pub use verify::{TilesFault, TilesReport, verify_tiles};

/// How many hashes or entries a whole tile has (c2sp.org/tlog-tiles, "Merkle Tree").
const WIDTH: usize = 256;
/// The same, as a shift.
const HEIGHT: u32 = 8;
/// The name of the file with the checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// Which file of the layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Entries,
    Hashes(usize),
}

/// The path of a tile that holds `width` entries or hashes.
fn path(kind: Kind, number: u64, width: usize) -> String {
    let mut digits = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        digits = format!("x{:03}/{digits}", rest % 1000);
        rest /= 1000;
    }
    let place = match kind {
        Kind::Entries => format!("tile/entries/{digits}"),
        Kind::Hashes(level) => format!("tile/{level}/{digits}"),
    };
    if width == WIDTH { place } else { format!("{place}.p/{width}") }
}

/// One file of the layout, as it has to be.
struct File<'a> {
    kind: Kind,
    number: u64,
    width: usize,
    content: &'a [u8],
}

impl File<'_> {
    fn path(&self) -> String {
        path(self.kind, self.number, self.width)
    }
}

/// The last tile of a level, which is not whole yet.
#[derive(Clone, Debug, Default)]
struct Level {
    number: u64,
    hashes: Vec<Hash>,
}

/// Turns entries into tiles, one after another.
#[derive(Debug, Default)]
struct Tiler {
    size: u64,
    bundle: Vec<u8>,
    bundled: usize,
    levels: Vec<Level>,
}

impl Tiler {
    /// Goes on after `size` entries, a multiple of 256. `last` are the hashes of the last tile of each level from the
    /// first on.
    fn resume(size: u64, last: Vec<Vec<Hash>>) -> Self {
        let above = (2u32..).zip(last).map(|(up, hashes)| Level { number: shifted(size, up), hashes });
        let lowest = Level { number: shifted(size, 1), hashes: Vec::new() };
        Self { size, levels: std::iter::once(lowest).chain(above).collect(), ..Self::default() }
    }

    /// The right edge of the tree that the tiles are of; `None` if there are too few or too many hashes.
    fn edge(&self) -> Option<Edge> {
        let mut subtrees = Vec::new();
        for level in self.levels.iter().rev() {
            let mut rest = level.hashes.as_slice();
            while !rest.is_empty() {
                let (first, others) = rest.split_at_checked(1 << rest.len().ilog2())?;
                subtrees.push(merkle::root_of(first.iter().copied()));
                rest = others;
            }
        }
        Edge::from_parts(self.size, subtrees)
    }

    /// Adds an entry, and hands out each tile that is whole with it.
    fn push<E>(&mut self, payload: &[u8], out: &mut impl FnMut(File<'_>) -> Result<(), E>) -> Result<(), E> {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(payload);
        self.bundled = self.bundled.saturating_add(1);
        if self.bundled == WIDTH {
            out(self.bundle())?;
            self.bundle.clear();
            self.bundled = 0;
        }
        self.size = self.size.saturating_add(1);
        let mut carried = merkle::leaf_hash(payload);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Level::default());
            }
            let Some(last) = self.levels.get_mut(level) else { break };
            last.hashes.push(carried);
            if last.hashes.len() < WIDTH {
                break;
            }
            out(File {
                kind: Kind::Hashes(level),
                number: last.number,
                width: WIDTH,
                content: last.hashes.as_flattened(),
            })?;
            carried = merkle::root_of(last.hashes.drain(..));
            last.number = last.number.saturating_add(1);
        }
        Ok(())
    }

    fn bundle(&self) -> File<'_> {
        let number = shifted(self.size, 1);
        File { kind: Kind::Entries, number, width: self.bundled, content: &self.bundle }
    }

    /// Hands out the tiles that are not whole.
    fn finish<E>(&self, out: &mut impl FnMut(File<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.bundled > 0 {
            out(self.bundle())?;
        }
        for (level, last) in self.levels.iter().enumerate().filter(|(_, last)| !last.hashes.is_empty()) {
            let (kind, width) = (Kind::Hashes(level), last.hashes.len());
            out(File { kind, number: last.number, width, content: last.hashes.as_flattened() })?;
        }
        Ok(())
    }
}

/// `size` divided by the width of a tile, as often as that.
fn shifted(size: u64, times: u32) -> u64 {
    size.checked_shr(HEIGHT.saturating_mul(times)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
