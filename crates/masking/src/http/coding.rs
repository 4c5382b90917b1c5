//! Content codings, taken off as the body comes.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::error::Unmaskable;
use super::plan::Limits;

/// How much is decoded at a time.
const PIECE: usize = 16 * 1024;

/// The largest window of zstd, as the power of two: RFC 9659 lets no encoder of HTTP use more than 8 MiB.
const ZSTD_WINDOW: u32 = 23;

/// The windows of zlib and gzip: the largest that there are.
const ZLIB_WINDOW: u8 = 15;

/// One content coding of a body.
pub(super) struct Coding {
    kind: Kind,
    /// Whether what was begun is at its end, or nothing was.
    complete: bool,
    out: Box<[u8]>,
    came: u64,
    decoded: u64,
    most: u64,
}

enum Kind {
    Gzip(Decompress),
    /// `deflate`, whose first two bytes say whether it is in zlib's format, as it has to be, or bare, as some send it.
    Deflate(Vec<u8>),
    Zlib(Decompress),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(Decoder<'static>),
}

/// What one step took and gave.
struct Step {
    taken: usize,
    given: usize,
    complete: bool,
}

impl Coding {
    /// The coding of this name in lower case.
    pub(super) fn named(name: &str, most: u64) -> Option<Self> {
        let kind = match name {
            "gzip" | "x-gzip" => Kind::Gzip(Decompress::new_gzip(ZLIB_WINDOW)),
            "deflate" => Kind::Deflate(Vec::new()),
            "br" => {
                let room = StandardAlloc::default;
                Kind::Brotli(Box::new(BrotliState::new_strict(room(), room(), room())))
            }
            "zstd" => {
                let mut decoder = Decoder::new().ok()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).ok()?;
                Kind::Zstd(decoder)
            }
            _ => return None,
        };
        let out = vec![0; PIECE].into_boxed_slice();
        Some(Self { kind, complete: true, out, came: 0, decoded: 0, most })
    }

    /// Decodes what came.
    fn push(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Unmaskable>,
    ) -> Result<(), Unmaskable> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.came = self.came.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let Kind::Deflate(first) = &mut self.kind else { return self.run(bytes, limits, sink) };
        first.extend_from_slice(bytes);
        self.complete = first.is_empty();
        if first.len() < 2 {
            return Ok(());
        }
        let first = std::mem::take(first);
        self.kind = Kind::Zlib(Decompress::new(is_zlib(&first)));
        self.run(&first, limits, sink)
    }

    fn run(
        &mut self,
        mut bytes: &[u8],
        limits: &Limits,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Unmaskable>,
    ) -> Result<(), Unmaskable> {
        loop {
            let step = self.step(bytes)?;
            bytes = bytes.get(step.taken..).unwrap_or_default();
            self.complete = step.complete;
            self.decoded = self.decoded.saturating_add(u64::try_from(step.given).unwrap_or(u64::MAX));
            let allowed = self.came.saturating_mul(u64::from(limits.ratio)).max(Limits::FREE).min(self.most);
            if self.decoded > allowed {
                return Err(Unmaskable::Inflated);
            }
            sink(self.out.get(..step.given).unwrap_or_default())?;
            if bytes.is_empty() && (step.complete || step.given < self.out.len()) {
                return Ok(());
            }
            if step.taken == 0 && step.given == 0 {
                return Err(Unmaskable::Damaged);
            }
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Step, Unmaskable> {
        let (complete, out) = (self.complete, &mut *self.out);
        match &mut self.kind {
            Kind::Gzip(inflate) => {
                // Another member may follow (RFC 1952, 2.2).
                if complete {
                    *inflate = Decompress::new_gzip(ZLIB_WINDOW);
                }
                inflated(inflate, bytes, out)
            }
            Kind::Zlib(inflate) if complete && inflate.total_in() > 0 => Err(Unmaskable::Damaged),
            Kind::Zlib(inflate) => inflated(inflate, bytes, out),
            Kind::Deflate(_) => Ok(Step { taken: 0, given: 0, complete: false }),
            Kind::Brotli(state) => brotli(state, bytes, out),
            Kind::Zstd(decoder) => {
                let status = decoder.run_on_buffers(bytes, out).map_err(|_| Unmaskable::Damaged)?;
                Ok(Step { taken: status.bytes_read, given: status.bytes_written, complete: status.remaining == 0 })
            }
        }
    }

    /// Whether the body may end here.
    const fn is_complete(&self) -> bool {
        self.complete
    }
}

fn inflated(inflate: &mut Decompress, bytes: &[u8], out: &mut [u8]) -> Result<Step, Unmaskable> {
    let (taken, given) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(bytes, out, FlushDecompress::None).map_err(|_| Unmaskable::Damaged)?;
    let since = |now: u64, then: u64| usize::try_from(now.saturating_sub(then)).unwrap_or(usize::MAX);
    Ok(Step {
        taken: since(inflate.total_in(), taken),
        given: since(inflate.total_out(), given),
        complete: status == Status::StreamEnd,
    })
}

fn brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    bytes: &[u8],
    out: &mut [u8],
) -> Result<Step, Unmaskable> {
    let (mut available, mut taken) = (bytes.len(), 0);
    let (mut room, mut given, mut total) = (out.len(), 0, 0);
    let result =
        BrotliDecompressStream(&mut available, &mut taken, bytes, &mut room, &mut given, out, &mut total, state);
    let complete = match result {
        BrotliResult::ResultSuccess => true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
        BrotliResult::ResultFailure => return Err(Unmaskable::Damaged),
    };
    // Nothing may follow.
    if complete && available > 0 { Err(Unmaskable::Damaged) } else { Ok(Step { taken, given, complete }) }
}

/// Whether these are the first bytes of zlib's format (RFC 1950, 2.2).
fn is_zlib(first: &[u8]) -> bool {
    let [method, flags, ..] = first else { return false };
    method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
}

/// Takes all codings off, the outermost first.
pub(super) fn decode(
    codings: &mut [Coding],
    bytes: &[u8],
    limits: &Limits,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Unmaskable>,
) -> Result<(), Unmaskable> {
    match codings.split_first_mut() {
        None => sink(bytes),
        Some((outermost, inner)) => outermost.push(bytes, limits, &mut |piece| decode(inner, piece, limits, sink)),
    }
}

/// Whether no coding is in the middle of something.
pub(super) fn are_complete(codings: &[Coding]) -> bool {
    codings.iter().all(Coding::is_complete)
}
