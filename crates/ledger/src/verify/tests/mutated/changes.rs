//! What is done to logs: to entries, segments, checkpoints and bytes.

use super::*;

/// An entry like any other, as the tree has it.
fn payload(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    let chosen: Entry =
        if dice.one_in(2) { entry(wide(dice.below(90))) } else { ordinary().swap_remove(dice.below(5)) };
    frame::encode(&chosen, 0, &mut bytes).unwrap();
    bytes[frame::HEADER..].to_vec()
}

pub(super) type Change = fn(&mut Log, &mut Dice);

/// What is done to entries; afterwards it is made to look right, or not.
pub(super) const TO_ENTRIES: &[(&str, Change)] = &[
    ("an entry deleted", |log, dice| {
        let (part, at) = log.frame(dice);
        if at < log.parts[part].frames.len() {
            log.parts[part].frames.remove(at);
        }
    }),
    ("an entry doubled", |log, dice| {
        let (part, at) = log.frame(dice);
        if let Some(copy) = log.parts[part].frames.get(at).cloned() {
            log.parts[part].frames.insert(at, copy);
        }
    }),
    ("two entries exchanged", |log, dice| {
        let (one, other) = (log.frame(dice), log.frame(dice));
        let taken = log.parts[one.0].frames.get(one.1).cloned();
        let given = log.parts[other.0].frames.get(other.1).cloned();
        if let (Some(taken), Some(given)) = (taken, given) {
            log.parts[one.0].frames[one.1] = given;
            log.parts[other.0].frames[other.1] = taken;
        }
    }),
    ("an entry moved", |log, dice| {
        let ((part, at), to) = (log.frame(dice), log.frame(dice));
        if at < log.parts[part].frames.len() {
            let taken = log.parts[part].frames.remove(at);
            let to = (to.0, to.1.min(log.parts[to.0].frames.len()));
            log.parts[to.0].frames.insert(to.1, taken);
        }
    }),
    ("an entry inserted", |log, dice| {
        let (part, at) = log.frame(dice);
        let index = log.parts[part].name + wide(at);
        let frames = &mut log.parts[part].frames;
        frames.insert(at.min(frames.len()), (index, payload(dice)));
    }),
    ("an entry altered", |log, dice| {
        let (part, at) = log.frame(dice);
        if let Some((_, old)) = log.parts[part].frames.get_mut(at) {
            *old = payload(dice);
        }
    }),
    ("the last entry altered", |log, dice| {
        if let Some((_, old)) = log.parts.last_mut().unwrap().frames.last_mut() {
            *old = payload(dice);
        }
    }),
    ("an entry added", |log, dice| {
        let index = wide(log.entries());
        log.parts.last_mut().unwrap().frames.push((index, payload(dice)));
    }),
    ("the end cut", |log, dice| {
        let most = log.entries() / 2;
        log.cut(1 + dice.below(most));
    }),
    ("the last entry cut", |log, _| log.cut(1)),
    ("a change of the key altered", |log, dice| {
        let first = |part: &&mut Part| part.frames.first().is_some_and(|(_, payload)| frame::may_change_key(payload));
        if let Some(part) = log.parts.iter_mut().find(first) {
            let payload = &mut part.frames[0].1;
            let at = 20 + dice.below(payload.len() - 20);
            // Another letter in place of a letter, so that it stays an entry.
            if payload[at].is_ascii_alphanumeric() {
                payload[at] = if payload[at] == b'A' { b'B' } else { b'A' };
            }
        }
    }),
    ("a change of the key moved", |log, dice| {
        let is_change = |(_, payload): &(u64, Vec<u8>)| frame::may_change_key(payload);
        let found = log.parts.iter().flat_map(|part| &part.frames).find(|frame| is_change(frame)).cloned();
        if let Some(change) = found {
            let (part, at) = log.frame(dice);
            log.parts[part].frames.insert(at, change);
        }
    }),
];

pub(super) const TO_SEGMENTS: &[(&str, Change)] = &[
    ("a segment missing", |log, dice| drop(log.parts.remove(dice.below(log.parts.len())))),
    ("the last segment missing", |log, _| drop(log.parts.pop())),
    ("a segment doubled", |log, dice| {
        let mut copy = log.parts[dice.below(log.parts.len())].clone();
        copy.name = wide(log.entries());
        log.parts.push(copy);
    }),
    ("a segment renamed", |log, dice| {
        let at = dice.below(log.parts.len());
        log.parts[at].name += 1 + wide(dice.below(3));
    }),
    ("two segments exchanged", |log, dice| {
        let (one, other) = (dice.below(log.parts.len()), dice.below(log.parts.len()));
        let name = log.parts[one].name;
        log.parts[one].name = log.parts[other].name;
        log.parts[other].name = name;
    }),
    ("two segments joined", |log, dice| {
        let at = dice.below(log.parts.len());
        if at + 1 < log.parts.len() {
            let more = log.parts.remove(at + 1).frames;
            log.parts[at].frames.extend(more);
        }
    }),
    ("a segment split", |log, dice| {
        let (part, at) = log.frame(dice);
        let mut rest = log.parts[part].clone();
        rest.frames = log.parts[part].frames.split_off(at);
        rest.name += wide(at);
        log.parts.insert(part + 1, rest);
    }),
    ("a header altered", |log, dice| {
        let at = dice.below(log.parts.len());
        match dice.below(2) {
            0 => log.parts[at].header.previous_length += 1,
            _ => log.parts[at].header.previous_first += 1,
        }
    }),
    ("an empty segment added", |log, _| {
        let mut last = log.parts.last().unwrap().clone();
        (last.name, last.frames) = (wide(log.entries()), vec![]);
        log.parts.push(last);
    }),
];

pub(super) const TO_CHECKPOINTS: &[(&str, Change)] = &[
    ("a checkpoint deleted", |log, dice| {
        let (list, at) = log.note(dice);
        log.lists[list].1.remove(at);
        log.lists.retain(|(_, notes)| !notes.is_empty());
    }),
    ("a list of checkpoints deleted", |log, dice| drop(log.lists.remove(dice.below(log.lists.len())))),
    ("two checkpoints exchanged", |log, dice| {
        let (one, other) = (log.note(dice), log.note(dice));
        let taken = log.lists[one.0].1[one.1].clone();
        log.lists[one.0].1[one.1] = std::mem::replace(&mut log.lists[other.0].1[other.1], taken);
    }),
    ("an older checkpoint in place of one", |log, dice| {
        let (list, at) = log.note(dice);
        let older = log.lists[0].1[0].clone();
        log.lists[list].1[at] = older;
    }),
    ("a checkpoint doubled", |log, dice| {
        let (list, at) = log.note(dice);
        let copy = log.lists[list].1[at].clone();
        log.lists[list].1.insert(at, copy);
    }),
    ("signed by another key", |log, dice| {
        let ((list, at), roots) = (log.note(dice), log.roots());
        let size = size_of(&log.lists[list].1[at]);
        log.lists[list].1[at] = signer(5).sign(size, roots[usize::try_from(size).unwrap()].0).note().to_owned();
    }),
    ("signed under another origin", |log, dice| {
        let ((list, at), roots) = (log.note(dice), log.roots());
        let size = size_of(&log.lists[list].1[at]);
        let other = SigningKey::from_seed("other.example/journal", &[7; 32]).unwrap();
        log.lists[list].1[at] = other.sign(size, roots[usize::try_from(size).unwrap()].0).note().to_owned();
    }),
    ("signed by another of its keys", |log, dice| {
        let ((list, at), roots) = (log.note(dice), log.roots());
        let size = size_of(&log.lists[list].1[at]);
        let by = dice.below(log.keys);
        log.lists[list].1[at] = signer(by).sign(size, roots[usize::try_from(size).unwrap()].0).note().to_owned();
    }),
    ("signed for another size", |log, dice| {
        let ((list, at), roots) = (log.note(dice), log.roots());
        let size = size_of(&log.lists[list].1[at]);
        let (root, changed) = roots[usize::try_from(size).unwrap()];
        let other = size + 1 - 2 * wide(dice.below(2));
        log.lists[list].1[at] = signer(changed).sign(other, root).note().to_owned();
    }),
    ("the latest checkpoint gone", |log, _| log.latest = None),
    ("an older one as the latest", |log, dice| {
        let (list, at) = log.note(dice);
        log.latest = Some(log.lists[list].1[at].clone());
    }),
    ("the last checkpoints taken back", |log, dice| {
        let count = dice.below(log.notes());
        log.keep_notes(count + 1);
    }),
    ("no checkpoints at all", |log, _| log.keep_notes(0)),
    ("a list renamed", |log, dice| {
        let at = dice.below(log.lists.len());
        log.lists[at].0 += 1;
    }),
];

/// What leaves a journal that nobody can tell from a whole one, without a checkpoint that was kept elsewhere.
pub(super) const UNSEEN: &[(&str, Change)] = &[
    ("the unsigned end cut", |log, dice| {
        let signed = log.lists.last().and_then(|(_, notes)| notes.last()).map_or(0, |note| size_of(note));
        let most = log.entries() - usize::try_from(signed).unwrap();
        log.cut(dice.below(most + 1));
    }),
    ("taken back to an older state", |log, dice| {
        log.keep_notes(1 + dice.below(log.notes()));
        let signed = log.lists.last().map_or(0, |(_, notes)| size_of(notes.last().unwrap()));
        let more = log.entries() - usize::try_from(signed).unwrap();
        log.cut(more);
        log.relink();
    }),
    ("written anew with the keys", |log, dice| {
        let (part, at) = log.frame(dice);
        if log.keys == 1 && at < log.parts[part].frames.len() {
            log.parts[part].frames[at].1 = payload(dice);
        }
        log.relink();
        log.resign();
    }),
    ("cut into other segments", |log, dice| {
        for _ in 0..3 {
            let (_, change) = TO_SEGMENTS[5 + dice.below(2)];
            let changes = |log: &Log| log.parts.iter().map(|part| part.frames.len().min(1)).sum::<usize>();
            let before = log.clone();
            change(log, dice);
            let begins = |part: &Part| part.frames.iter().skip(1).all(|(_, payload)| !frame::may_change_key(payload));
            if changes(log) != log.parts.len() || !log.parts.iter().all(begins) {
                *log = before;
            }
        }
        log.relink();
    }),
    ("nothing", |_, _| {}),
];

/// What is done to the bytes of a file, by somebody who knows nothing.
pub(super) fn damage(files: &mut BTreeMap<String, Vec<u8>>, dice: &mut Dice) -> &'static str {
    let name = files.keys().nth(dice.below(files.len())).unwrap().clone();
    let bytes = files.get_mut(&name).unwrap();
    let at = dice.below(bytes.len());
    match dice.below(8) {
        0 | 1 => bytes[at] ^= 1 << dice.below(8),
        2 => bytes.truncate(at),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, 0),
        5 => {
            let tail = bytes[at..].to_vec();
            bytes.extend(tail);
        }
        6 => drop(files.remove(&name)),
        _ => {
            const NAMES: [&str; 6] =
                ["stray", "1.segment", "00000000000000000003.segment.new", "checkpoint.new", "lock", "witness-a.b"];
            files.insert(NAMES[dice.below(6)].to_owned(), vec![0; 3]);
        }
    }
    "bytes damaged"
}
