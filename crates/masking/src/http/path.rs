//! Which rules a place in a body is under: all paths followed at once, a bit for each step of each.

use std::collections::HashMap;

use model::http::{FieldPath, Segment};

/// A step inward.
#[derive(Clone, Copy, Debug)]
pub(super) enum Inward<'k> {
    /// To the member of this name.
    Key(&'k [u8]),
    /// To a member whose name is longer than is read: it may be any.
    AnyKey,
    /// To an element.
    Index,
}

/// The paths of a plan, as one machine of many states: a bit for each segment, and one behind each path's last. A step is a
/// shift of all those bits whose segments it fits.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Paths {
    states: Vec<State>,
    words: Box<[Word]>,
    start: Box<[u64]>,
    /// For each name, the states in front of it.
    names: HashMap<Box<[u8]>, Box<[u64]>>,
    /// Whether any path has [`Segment::AnyDepth`] in it.
    is_deep: bool,
}

#[derive(PartialEq, Eq, Debug)]
enum State {
    /// In front of a segment.
    Before(Segment),
    /// At the end of the path of this rule. All that is in a value is where the value is.
    End(usize),
}

/// Which of 64 states are in front of what.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Word {
    name: u64,
    any_key: u64,
    any_index: u64,
    any_depth: u64,
    end: u64,
}

impl Paths {
    pub(super) fn new<'p>(paths: impl Iterator<Item = &'p FieldPath>) -> Self {
        let (mut states, mut starts) = (Vec::new(), Vec::new());
        for (rule, path) in paths.enumerate() {
            starts.push(states.len());
            states.extend(path.segments.iter().cloned().map(State::Before));
            states.push(State::End(rule));
        }
        let count = states.len().div_ceil(64);
        let mut words = vec![Word::default(); count].into_boxed_slice();
        let mut names: HashMap<Box<[u8]>, Box<[u64]>> = HashMap::new();
        for (at, state) in states.iter().enumerate() {
            let Some(word) = words.get_mut(at / 64) else { continue };
            let of = match state {
                State::Before(Segment::Key(name)) => {
                    let those = names.entry(name.as_bytes().into());
                    set(those.or_insert_with(|| vec![0; count].into()), at);
                    &mut word.name
                }
                State::Before(Segment::AnyKey) => &mut word.any_key,
                State::Before(Segment::AnyIndex) => &mut word.any_index,
                State::Before(Segment::AnyDepth) => &mut word.any_depth,
                State::End(_) => &mut word.end,
            };
            *of |= bit(at);
        }
        let is_deep = words.iter().any(|word| word.any_depth != 0);
        let mut start = vec![0; count].into_boxed_slice();
        starts.into_iter().for_each(|at| set(&mut start, at));
        let mut paths = Self { states, words, start: Box::default(), names, is_deep };
        paths.close(&mut start);
        paths.start = start;
        paths
    }

    /// The states of the body itself.
    pub(super) fn start(&self) -> &[u64] {
        &self.start
    }

    /// Whether any path ends in one of the states.
    pub(super) fn is_ended(&self, at: &[u64]) -> bool {
        at.iter().zip(&self.words).any(|(states, word)| states & word.end != 0)
    }

    /// Those of the states that paths end in.
    pub(super) fn only_ended(&self, at: &[u64]) -> Box<[u64]> {
        at.iter().zip(&self.words).map(|(states, word)| states & word.end).collect()
    }

    /// The rules whose paths end in one of the states.
    pub(super) fn ended<'s>(&'s self, at: &'s [u64]) -> impl Iterator<Item = usize> + 's {
        bits(at).filter_map(|state| match self.states.get(state)? {
            State::End(rule) => Some(*rule),
            State::Before(_) => None,
        })
    }

    /// Steps from one set of states to another.
    pub(super) fn step(&self, from: &[u64], by: Inward<'_>, to: &mut [u64]) {
        let named = if let Inward::Key(name) = by { self.names.get(name) } else { None };
        let mut named = named.into_iter().flatten();
        let mut carried = 0;
        for ((states, word), to) in from.iter().zip(&self.words).zip(to.iter_mut()) {
            let fits = match by {
                Inward::Key(_) => word.any_key | named.next().copied().unwrap_or(0),
                Inward::AnyKey => word.any_key | word.name,
                Inward::Index => word.any_index,
            };
            let step = states & fits;
            *to = step << 1 | carried | states & (word.any_depth | word.end);
            carried = step >> 63;
        }
        if self.is_deep {
            self.close(to);
        }
    }

    /// The rules whose paths end in this name, for what has names and no paths. Names that differ in case and marks alone
    /// count as one.
    pub(super) fn named(&self, name: &str) -> Vec<usize> {
        let (mut found, mut last) = (Vec::new(), None);
        for state in &self.states {
            match state {
                State::Before(segment @ (Segment::Key(_) | Segment::AnyKey)) => last = Some(segment),
                State::Before(Segment::AnyIndex | Segment::AnyDepth) => {}
                State::End(rule) => match last.take() {
                    Some(Segment::Key(key)) if !is_alike(key, name) => {}
                    _ => found.push(*rule),
                },
            }
        }
        found
    }

    /// Adds what is reached without a step: behind any depth, at none. A path may go on with another.
    fn close(&self, states: &mut [u64]) {
        let mut carried = 0;
        for (word, states) in self.words.iter().zip(states) {
            *states |= carried;
            loop {
                let behind = (*states & word.any_depth) << 1;
                if behind & !*states == 0 {
                    break;
                }
                *states |= behind;
            }
            carried = (*states & word.any_depth) >> 63;
        }
    }
}

/// Whether the letters and digits of both are the same.
fn is_alike(one: &str, other: &str) -> bool {
    let letters = |name: &str| {
        let name: String = name.chars().filter(|symbol| symbol.is_alphanumeric()).collect();
        name.to_lowercase()
    };
    letters(one) == letters(other)
}

const fn bit(at: usize) -> u64 {
    1 << (at % 64)
}

fn set(words: &mut [u64], at: usize) {
    if let Some(word) = words.get_mut(at / 64) {
        *word |= bit(at);
    }
}

/// The places of the bits that are set, in order.
fn bits(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = usize::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
            left &= left.wrapping_sub(1);
            Some(at.saturating_mul(64).saturating_add(bit))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Inward::{Index, Key};

    fn under(paths: &[&str], steps: &[Inward<'_>]) -> Vec<usize> {
        let paths: Vec<FieldPath> = paths.iter().map(|path| FieldPath::parse(path).unwrap()).collect();
        let paths = Paths::new(paths.iter());
        let (mut at, mut next) = (paths.start().to_vec(), vec![0; paths.start().len()]);
        for step in steps {
            paths.step(&at, *step, &mut next);
            std::mem::swap(&mut at, &mut next);
        }
        paths.ended(&at).collect()
    }

    #[test]
    fn a_place_is_under_the_paths_that_lead_to_it_or_to_what_it_is_in() {
        let paths = ["$.a.b", "$.a[*].b", "$..ssn", "$.*", "$", "$.x..y[*]"];
        for (steps, rules) in [
            (&[][..], &[4][..]),
            (&[Key(b"a")], &[3, 4]),
            (&[Key(b"a"), Key(b"b")], &[0, 3, 4]),
            (&[Key(b"a"), Key(b"b"), Key(b"deep"), Index], &[0, 3, 4]),
            (&[Key(b"a"), Index, Key(b"b")], &[1, 3, 4]),
            (&[Index, Key(b"ssn")], &[2, 4]),
            (&[Index, Index, Key(b"ssn"), Key(b"no")], &[2, 4]),
            (&[Key(b"x"), Key(b"y"), Index], &[3, 4, 5]),
            (&[Key(b"x"), Key(b"1"), Key(b"y"), Index, Index], &[3, 4, 5]),
            (&[Key(b"x"), Key(b"y")], &[3, 4]),
            (&[Index, Inward::AnyKey], &[2, 4]),
            (&[Inward::AnyKey, Inward::AnyKey], &[0, 2, 3, 4]),
        ] {
            assert_eq!(under(&paths, steps), rules, "{steps:?}");
        }
    }

    #[test]
    fn more_states_than_a_word_has_bits() {
        // Of three lengths, so that every kind of state is the last of a word.
        let paths: Vec<String> =
            (0..100).map(|number| format!("$.k{number}{}..d.e", ["", "[*]", ".*..[*]"][number % 3])).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        for (at, _) in paths.iter().enumerate() {
            let key = format!("k{at}");
            let inward = [Key(key.as_bytes()), Index, Key(b"x"), Index, Key(b"d"), Key(b"e")];
            let inward = match at % 3 {
                0 => &[inward[0], inward[4], inward[5]][..],
                1 => &[inward[0], inward[1], inward[2], inward[4], inward[5]],
                _ => &[inward[0], inward[2], inward[3], inward[1], inward[4], inward[5]],
            };
            assert_eq!(under(&paths, inward), [at]);
            assert!(under(&paths, inward.split_last().unwrap().1).is_empty());
        }
    }

    #[test]
    fn what_has_no_paths_goes_by_the_last_name() {
        let paths: Vec<FieldPath> =
            ["$.a.b", "$.c[*]", "$.a.*", "$[*]"].iter().map(|path| FieldPath::parse(path).unwrap()).collect();
        let paths = Paths::new(paths.iter());
        assert_eq!(paths.named("b"), [0, 2, 3]);
        assert_eq!(paths.named("c"), [1, 2, 3]);
        assert_eq!(paths.named("a"), [2, 3]);
        assert_eq!(paths.named("_B "), [0, 2, 3]);
    }
}
