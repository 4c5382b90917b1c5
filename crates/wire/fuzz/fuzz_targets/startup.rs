//! First packets: no input panics, and what is accepted is encoded again as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::postgres::encode;
use wire::postgres::startup::{FirstPacket, Stage, decode};

fuzz_target!(|input: (u8, &[u8])| {
    let (flags, bytes) = input;
    let stage = Stage { encrypted: flags & 1 != 0, ssl_answered: flags & 2 != 0, gss_answered: flags & 4 != 0 };
    let Ok(Some((packet, consumed))) = decode(bytes, stage) else { return };
    let mut again = Vec::new();
    match packet {
        FirstPacket::Startup(startup) => encode::startup(&mut again, startup.version, startup.parameters).unwrap(),
        FirstPacket::Cancel(cancel) => encode::cancel_request(&mut again, cancel.process, cancel.key.get()).unwrap(),
        FirstPacket::SslRequest => encode::ssl_request(&mut again).unwrap(),
        FirstPacket::GssEncRequest | FirstPacket::TlsClientHello => return,
    }
    assert_eq!(again, &bytes[..consumed]);
});
