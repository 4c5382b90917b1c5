//! Content codings.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const TEXT: &str = r#"{"card":"4111111111111111","n":[1,2,3],"note":"to a@b.example"}"#;
const MASKED: &str = r#"{"card":"[card_number]","n":[1,2,3],"note":"to [email]"}"#;

/// [`TEXT`], by Node's encoder.
const BROTLI: &str = "1b3e00e02d8bb735304ec829a8f18f72981d815a04e46d6f028589258d1b5db2c474954e5f896c95cc4c4bd28b3a0ac91462c74903ea10c36119afbc7e0001";

/// Two lines, each flushed, and the end.
const BROTLI_FLUSHED: [&str; 3] = [
    "8b0d00f88dd315f32185752f4562f65a8146a74fe2218926c1499b62d5c600",
    "d80080df38c58a69522aecf5758d084cce76c0914c44510eac6063f09b01",
    "03",
];

/// 64 MiB of blanks.
const BROTLI_BOMB: &str = "cbffff3ff82540e2b14020f7fe8fffff7ff04b00c4611180eefd1fffffffe0970088c30200ddfb3ffeffffc12f0110870500baf77ffcffff835f02200e0b0074effff8ffff07bf04401c1600e8defff1ffff0f7e0980382c00d0bdffcbffff3ffc1200715800a07bff07";

/// With a window that HTTP has not (RFC 7932 has none above 16 MiB).
const BROTLI_LARGE: &str = "115ad40980b72cded6c03821a7a0c63fca61760446a8f4160179db9b40616249e346972c315da5d357225b2533031b70029e7928110ece474a2298ec70694016623896f1caeb071e6f03";

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// What comes out of JSON with these codings, at once and in pieces.
fn decoded(codings: &[&str], coded: &[u8]) -> Result<String, Unmaskable> {
    let codings: Vec<&[u8]> = codings.iter().map(|coding| coding.as_bytes()).collect();
    let case = Case::all();
    let whole = case.coded(JSON, &codings, [coded]);
    for piece in [1, 3, 50] {
        assert_eq!(case.coded(JSON, &codings, coded.chunks(piece)), whole, "{piece}");
    }
    whole.map(|got| got.text())
}

/// HT-08: codings are taken off, one around the other, on routes that are masked.
#[test]
fn ht_08_every_coding_is_taken_off() {
    let text = TEXT.as_bytes();
    let cases: [(&[&str], Vec<u8>); 12] = [
        (&["gzip"], gzip(text)),
        (&["x-GZIP"], gzip(text)),
        (&["gzip"], [gzip(&text[..20]), gzip(&text[20..]), gzip(b"")].concat()),
        (&["deflate"], zlib(text)),
        (&["deflate"], bare(text)),
        (&["br"], bytes(BROTLI)),
        (&["zstd"], zstd(text)),
        (&["zstd"], [zstd(&text[..20]), zstd(&text[20..])].concat()),
        (&["identity"], text.to_vec()),
        (&["gzip, zstd"], zstd(&gzip(text))),
        (&["gzip , identity", "deflate"], zlib(&gzip(text))),
        (&["br", "gzip"], gzip(&bytes(BROTLI))),
    ];
    for (codings, coded) in cases {
        assert_eq!(decoded(codings, &coded).as_deref(), Ok(MASKED), "{codings:?}");
    }
}

#[test]
fn ht_08_codings_that_are_not_read_are_refused() {
    let plan = Case::all().plan();
    for coding in ["compress", "dcb", "gzip, nonsense", "gzip,gzip,gzip,gzip,gzip", "gzip;q=1", "\u{fffd}"] {
        let refused = Body::new(&[JSON.as_bytes()], &[coding.as_bytes()], &plan);
        assert_eq!(refused.err(), Some(Unmaskable::Coding), "{coding}");
    }
}

#[test]
fn what_is_damaged_or_cut_or_followed_by_anything_is_refused() {
    let text = TEXT.as_bytes();
    for (coding, coded) in [
        ("gzip", gzip(text)),
        ("deflate", zlib(text)),
        ("deflate", bare(text)),
        ("br", bytes(BROTLI)),
        ("zstd", zstd(text)),
    ] {
        for length in 1..coded.len() {
            assert!(decoded(&[coding], &coded[..length]).is_err(), "{coding} {length}");
        }
        assert_eq!(decoded(&[coding], &[&coded[..], b"\xffmore"].concat()), Err(Unmaskable::Damaged), "{coding}");
        assert_eq!(decoded(&[coding], b"").as_deref(), Ok(""), "{coding}");
    }
    let mut flipped = gzip(text);
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    assert_eq!(decoded(&["gzip"], &flipped), Err(Unmaskable::Damaged));
    assert_eq!(decoded(&["br"], &bytes(BROTLI_LARGE)), Err(Unmaskable::Damaged));
}

/// What is complete before its coding is goes out at once.
#[test]
fn what_is_flushed_goes_out_at_once() {
    let plan = Case::all().plan();
    let lines = [format!("{{\"card\":\"{CARD}\"}}\n"), format!("{{\"card\":\"{OTHER_CARD}\"}}\n")];
    let mut streams: Vec<(&str, Vec<Vec<u8>>)> = vec![("br", BROTLI_FLUSHED.iter().map(|part| bytes(part)).collect())];
    let mut flate = GzEncoder::new(Vec::new(), Compression::default());
    let mut frames = zstd::Encoder::new(Vec::new(), 3).unwrap();
    let (mut gzipped, mut framed) = (Vec::new(), Vec::new());
    for line in &lines {
        flate.write_all(line.as_bytes()).unwrap();
        flate.flush().unwrap();
        gzipped.push(std::mem::take(flate.get_mut()));
        frames.write_all(line.as_bytes()).unwrap();
        frames.flush().unwrap();
        framed.push(std::mem::take(frames.get_mut()));
    }
    gzipped.push(flate.finish().unwrap());
    framed.push(frames.finish().unwrap());
    streams.push(("gzip", gzipped));
    streams.push(("zstd", framed));
    for (coding, parts) in streams {
        let mut body = Body::new(&[b"application/x-ndjson"], &[coding.as_bytes()], &plan).unwrap();
        for part in &parts[..2] {
            assert_eq!(body.push(part).unwrap().bytes(), b"{\"card\":\"[card_number]\"}\n", "{coding}");
        }
        assert!(body.push(&parts[2]).unwrap().bytes().is_empty());
        assert!(body.end().unwrap().bytes().is_empty());
    }
}

/// RX-04: what decodes to far more than came is refused before it is decoded.
#[test]
fn rx_04_bombs_are_refused() {
    let blanks = vec![b' '; 16 * 1024 * 1024];
    let once = gzip(&blanks);
    for (codings, coded) in [
        (&["gzip"][..], once.clone()),
        (&["gzip", "gzip"], gzip(&once)),
        (&["deflate"], zlib(&blanks)),
        (&["br"], bytes(BROTLI_BOMB)),
        (&["zstd"], zstd(&blanks)),
    ] {
        let codings: Vec<&[u8]> = codings.iter().map(|coding| coding.as_bytes()).collect();
        let mut body = Body::new(&[b"text/plain"], &codings, &Case::all().plan()).unwrap();
        let mut most = 0u64;
        let refused = coded.chunks(1024).find_map(|piece| match body.push(piece) {
            Ok(masked) => {
                most += u64::try_from(masked.bytes().len()).unwrap();
                None
            }
            Err(error) => Some(error),
        });
        assert_eq!(refused, Some(Unmaskable::Inflated), "{codings:?}");
        assert!(most <= Limits::FREE, "{codings:?}: {most}");
    }
    let mut case = Case::all();
    case.limits.decoded = 1000;
    let refused = case.coded("text/plain", &[b"gzip"], [gzip(&[b'x'; 1001]).as_slice()]);
    assert_eq!(refused.unwrap_err(), Unmaskable::Inflated);
    assert_eq!(case.coded("text/plain", &[b"gzip"], [gzip(&[b'x'; 1000]).as_slice()]).unwrap().bytes.len(), 1000);
    // What is far from it passes, however long it is.
    let long = format!("\"{}\"", "lorem ipsum 17 dolor ".repeat(200_000));
    assert_eq!(
        Case::all().coded(JSON, &[b"zstd"], zstd(long.as_bytes()).chunks(100)).err(),
        Some(Unmaskable::Inflated)
    );
    let mixed: String = (0..300_000).map(|number| format!("w{}x ", number % 7919)).collect();
    let got = Case::all().coded("text/plain", &[b"gzip"], gzip(mixed.as_bytes()).chunks(1000)).unwrap();
    assert_eq!(got.bytes.len(), mixed.len());
}

#[test]
fn where_nothing_is_hidden_the_coding_stays_and_what_is_in_it_is_counted() {
    let coded = gzip(TEXT.as_bytes());
    let got = Case::nothing().coded(JSON, &[b"gzip"], coded.chunks(5)).unwrap();
    assert_eq!(got.bytes, coded);
    assert_eq!((got.counts("card_number"), got.counts("email")), (clear(1), clear(1)));
    for codings in [&b"nonsense"[..], b"gzip"] {
        let got = Case::nothing().coded(JSON, &[codings], [&b"no gzip"[..]]).unwrap();
        assert_eq!(got.bytes, b"no gzip");
    }
}
