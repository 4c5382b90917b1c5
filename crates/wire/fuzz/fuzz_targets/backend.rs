//! A target's stream: no input panics, what is accepted is encoded again as it came, and the pipeline's queue only shrinks
//! by what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::postgres::backend::Backend;
use wire::postgres::frame::{self, Limits, Phase};
use wire::postgres::pipeline::{Pipeline, Reply, Sent, Step};

const SENT: [Sent; 11] = [
    Sent::Query,
    Sent::Parse,
    Sent::Bind,
    Sent::DescribeStatement,
    Sent::DescribePortal,
    Sent::Execute,
    Sent::Close,
    Sent::Sync,
    Sent::FunctionCall,
    Sent::CopyDone,
    Sent::CopyFail,
];

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (sent, mut rest) = input;
    let mut pipeline = Pipeline::default();
    for choice in sent {
        let _ = pipeline.push(SENT[usize::from(choice) % SENT.len()], ());
    }
    while let Ok(Some(header)) = frame::backend(rest, Phase::Ready, &Limits::default()) {
        let Some(frame) = header.frame(rest) else { return };
        if let Ok(message) = Backend::parse(&frame) {
            let mut again = Vec::new();
            message.encode(&mut again).unwrap();
            assert_eq!(again, frame.bytes);
            let before = pipeline.len();
            let gone = match pipeline.receive(Reply::from(&message)) {
                Err(_) => return,
                Ok(Step::Asynchronous | Step::Continues { .. }) => 0,
                Ok(Step::Finishes { dropped, .. }) => dropped.len() + 1,
                Ok(Step::Closes { dropped }) => dropped.len(),
            };
            assert_eq!(pipeline.len() + gone, before);
        }
        rest = &rest[frame.bytes.len()..];
    }
});
