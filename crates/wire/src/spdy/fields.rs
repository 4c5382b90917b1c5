//! Fields, compressed and not (section 2.6.10).

use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::{Field, MOST_FIELDS, MOST_OF_FIELDS, Violation};

/// What the dictionary has with its length in front.
const WORDS: [&str; 65] = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// And what it has behind them.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
                    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
                    403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
                    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
                    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
                    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary that both sides begin with (section 2.6.10.1).
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for word in WORDS {
        put(&mut all, word.len());
        all.extend_from_slice(word.as_bytes());
    }
    all.extend_from_slice(REST.as_bytes());
    all
});

fn put(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

/// Reads the fields of one direction.
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The fields of the next frame.
    pub(super) fn read(&mut self, packed: &[u8]) -> Result<Vec<Field>, Violation> {
        let plain = self.unpack(packed)?;
        let mut rest = plain.as_slice();
        let count = take(&mut rest)?;
        if count > MOST_FIELDS {
            return Err(Violation::TooManyFields);
        }
        let mut fields: Vec<Field> = Vec::with_capacity(count);
        for _ in 0..count {
            let (name, value) = (text(&mut rest)?, text(&mut rest)?);
            let is_name = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
            let is_value = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            let is_known = fields.iter().any(|(known, _)| *known == name);
            if name.is_empty() || is_known || !name.bytes().all(is_name) || !value.bytes().all(is_value) {
                return Err(Violation::Fields);
            }
            fields.push((name, value));
        }
        if rest.is_empty() { Ok(fields) } else { Err(Violation::Fields) }
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<Vec<u8>, Violation> {
        let (mut plain, mut rest) = (Vec::with_capacity(1024), packed);
        loop {
            let before = (self.0.total_in(), plain.len());
            match self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| Violation::Fields)?;
                }
                Err(_) => return Err(Violation::Fields),
            }
            let taken = usize::try_from(self.0.total_in().saturating_sub(before.0)).unwrap_or(usize::MAX);
            rest = rest.get(taken..).ok_or(Violation::Fields)?;
            if plain.len() > MOST_OF_FIELDS {
                return Err(Violation::TooManyFields);
            }
            let has_room = plain.len() < plain.capacity();
            if rest.is_empty() && has_room {
                return Ok(plain);
            }
            if has_room && taken == 0 && plain.len() == before.1 {
                // What is behind the end of a zlib stream is nobody's.
                return Err(Violation::Fields);
            }
            if !has_room {
                plain.reserve(1024);
            }
        }
    }
}

fn take(rest: &mut &[u8]) -> Result<usize, Violation> {
    let (number, behind) = rest.split_first_chunk::<4>().ok_or(Violation::Fields)?;
    *rest = behind;
    usize::try_from(u32::from_be_bytes(*number)).map_err(|_| Violation::Fields)
}

fn text(rest: &mut &[u8]) -> Result<Box<str>, Violation> {
    let length = take(rest)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(Violation::Fields)?;
    *rest = behind;
    std::str::from_utf8(text).map(Box::from).map_err(|_| Violation::Fields)
}

/// Writes the fields of one direction.
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Self {
        let mut compress = Compress::new(Compression::default(), true);
        // Nothing was compressed yet, which is when one can be set.
        let _ = compress.set_dictionary(&DICTIONARY);
        Self(compress)
    }

    /// The fields of the next frame, at the end of `out`.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, fields: &[Field]) {
        let mut plain = Vec::new();
        put(&mut plain, fields.len());
        for part in fields.iter().flat_map(|(name, value)| [name, value]) {
            put(&mut plain, part.len());
            plain.extend_from_slice(part.as_bytes());
        }
        let mut rest = plain.as_slice();
        loop {
            out.reserve(plain.len().max(256));
            let before = self.0.total_in();
            // To memory, with room in it, there is nothing that could fail.
            if self.0.compress_vec(rest, out, FlushCompress::Sync).is_err() {
                return;
            }
            let taken = usize::try_from(self.0.total_in().saturating_sub(before)).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if rest.is_empty() && out.len() < out.capacity() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_that_of_the_protocol() {
        assert_eq!(DICTIONARY.len(), 1423);
        // What zlib names it by, as it stands in the first frame of every implementation.
        let mut packed = Vec::new();
        Packer::new().write(&mut packed, &[]);
        assert_eq!(packed.get(2..6), Some([0xe3, 0xc6, 0xa7, 0xc2].as_slice()));
    }
}
