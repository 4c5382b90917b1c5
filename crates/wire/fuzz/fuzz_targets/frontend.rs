//! A client's stream: no input panics, and what is accepted is encoded again as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::postgres::frame::{self, Limits, Phase};
use wire::postgres::frontend::{Frontend, SaslInitial, password};

fuzz_target!(|input: (bool, &[u8])| {
    let (ready, mut rest) = input;
    let phase = if ready { Phase::Ready } else { Phase::Authentication };
    while let Ok(Some(header)) = frame::frontend(rest, phase, &Limits::default()) {
        let Some(frame) = header.frame(rest) else { return };
        if let Ok(message) = Frontend::parse(&frame) {
            let mut again = Vec::new();
            message.encode(&mut again).unwrap();
            assert_eq!(again, frame.bytes);
            match message {
                Frontend::Bind(bind) => assert_eq!(bind.parameters.iter().count(), usize::from(bind.parameters.count())),
                Frontend::Password(body) => drop((password(body), SaslInitial::parse(body))),
                _ => (),
            }
        }
        rest = &rest[frame.bytes.len()..];
    }
});
