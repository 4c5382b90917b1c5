//! The fuzz targets' own code, without a fuzzer: over the corpus, and over a fixed number of mutations of it. `./dev fuzz`
//! looks further.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use std::path::Path;

#[allow(unreachable_pub, reason = "the fuzz targets call them from outside")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

/// How many mutations of each input are tried.
const MUTATIONS: u64 = 4000;

/// A generator of the xorshift family: the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }
}

/// Changes bytes, cuts out, doubles, and puts in numbers that lengths go wrong at.
fn mutated(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.next(4) {
        let (at, length) = (numbers.next(bytes.len() + 1), numbers.next(16));
        let end = (at + length).min(bytes.len());
        match numbers.next(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.next(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let edges = [0_u32, 3, 4, 5, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];
                bytes.splice(at..end, edges[numbers.next(edges.len())].to_be_bytes());
            }
            4 => {
                let from = numbers.next(other.len() + 1);
                let to = (from + length * 4).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => bytes.insert(at, u8::try_from(numbers.next(256)).unwrap()),
        }
    }
    bytes
}

fn run(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!inputs.is_empty(), "{} is empty", corpus.display());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for input in &inputs {
        body(input);
        for _ in 0..MUTATIONS {
            let other = &inputs[numbers.next(inputs.len())];
            body(&mutated(input, other, &mut numbers));
        }
    }
}

#[test]
fn first_packets() {
    run("startup", bodies::startup);
}

#[test]
fn client_streams() {
    run("frontend", bodies::frontend);
}

#[test]
fn target_streams() {
    run("backend", bodies::backend);
}

#[test]
fn sessions_in_any_order() {
    run("session", bodies::session);
}
