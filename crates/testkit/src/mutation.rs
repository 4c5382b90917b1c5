//! The bodies of fuzz targets without a fuzzer: over their seeds, and over a fixed number of mutations of them. It tries
//! the same inputs each time; `./dev fuzz` looks further.

use std::path::Path;

/// A generator of the xorshift family: the same numbers each time.
struct Numbers(u64);

impl Numbers {
    /// A number below `below`; 0 if there is none.
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let below = u64::try_from(below).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.0 % below).unwrap_or_default()
    }
}

/// Changes bytes, cuts out, doubles, and puts in numbers that lengths go wrong at.
fn mutated(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.next(4) {
        let (at, length) = (numbers.next(bytes.len() + 1), numbers.next(16));
        let end = (at + length).min(bytes.len());
        match numbers.next(6) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << numbers.next(8)),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part: Vec<u8> = bytes.iter().skip(at).take(end - at).copied().collect();
                bytes.splice(at..at, part);
            }
            3 => {
                let edges = [0_u32, 3, 4, 5, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];
                let edge = edges.get(numbers.next(edges.len())).copied().unwrap_or_default();
                bytes.splice(at..end, edge.to_be_bytes());
            }
            4 => {
                let from = numbers.next(other.len() + 1);
                let part: Vec<u8> = other.iter().skip(from).take(length * 4).copied().collect();
                bytes.splice(at..at, part);
            }
            _ => bytes.insert(at, u8::try_from(numbers.next(256)).unwrap_or_default()),
        }
    }
    bytes
}

/// Runs `body`, which panics for what must not be, over every file in `folder`, and over so many mutations of them.
///
/// # Panics
/// If there is no seed, besides what `body` finds.
#[expect(clippy::panic, reason = "only tests call it")]
pub fn over_seeds(folder: &Path, mutations: usize, body: fn(&[u8])) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().filter_map(|file| std::fs::read(file).ok()).collect();
    if seeds.is_empty() || seeds.len() != files.len() {
        panic!("no seeds in {}", folder.display());
    }
    over(&seeds, mutations, body);
}

/// Likewise over these seeds.
pub fn over(seeds: &[Vec<u8>], mutations: usize, body: fn(&[u8])) {
    seeds.iter().for_each(|seed| body(seed));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for seed in seeds.iter().cycle().take(mutations) {
        let other = seeds.get(numbers.next(seeds.len())).map_or(&[][..], Vec::as_slice);
        body(&mutated(seed, other, &mut numbers));
    }
}
