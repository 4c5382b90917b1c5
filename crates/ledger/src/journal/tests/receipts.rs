//! What a receipt promises, over random orders of everything that can be done to a journal and of everything that a disk
//! can do to it.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::receipt::Receipt;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// So many entries in one batch; whether they are about something that has ended.
    Append(usize, bool),
    /// A sync whose token is kept.
    Sync,
    /// A sync of another journal, whose token is kept beside.
    SyncOther,
    /// The receipts of one of the batches, at level process.
    AtProcess(usize),
    /// The receipts of one of the batches, with one of the tokens or after a sync.
    AtPower(usize, Option<usize>),
    Checkpoint,
    /// The n-th operation from now fails, or all from there on.
    Fail(u64, Fault, bool),
    Heal,
    Recover,
    /// The disk has so much more room.
    Room(usize),
    /// The process is killed, and Sluice starts anew.
    Kill,
    /// The power fails, and so many bytes of each file's unsynced end are kept.
    PowerCut(usize),
    /// The power fails on a disk that writes in no order.
    Disorder(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = proptest::sample::select(Fault::ALL.iter().copied().chain([Fault::Panic]).collect::<Vec<_>>());
    prop_oneof![
        8 => (1..4_usize, any::<bool>()).prop_map(|(count, closing)| Step::Append(count, closing)),
        5 => Just(Step::Sync),
        1 => Just(Step::SyncOther),
        4 => any::<usize>().prop_map(Step::AtProcess),
        8 => any::<(usize, Option<usize>)>().prop_map(|(batch, token)| Step::AtPower(batch, token)),
        2 => Just(Step::Checkpoint),
        2 => (1..8_u64, fault, any::<bool>()).prop_map(|(at, fault, once)| Step::Fail(at, fault, once)),
        4 => Just(Step::Heal),
        6 => Just(Step::Recover),
        1 => (0..2000_usize).prop_map(Step::Room),
        1 => Just(Step::Kill),
        1 => (0..200_usize).prop_map(Step::PowerCut),
        1 => any::<u64>().prop_map(Step::Disorder),
    ]
}

/// A journal at work, and all that is in hand of it.
struct Work {
    disk: FaultyDisk,
    journal: Option<Journal>,
    other: Journal,
    /// What was appended, by its numbers, for which no receipts were taken.
    batches: Vec<(Appended, Vec<Entry>)>,
    tokens: Vec<Synced>,
    receipts: Vec<(Receipt, Entry)>,
    next: u64,
    /// How many receipts at level power there were, cuts of the power included.
    powerful: usize,
}

fn guarded<T>(act: impl FnOnce() -> Result<T, JournalError>) -> Option<T> {
    caught(JournalError::Stalled, act).ok()
}

/// Opens what a crash left: holes are there only where the power failed on a disk without order.
fn reopen(disk: &FaultyDisk) -> Journal {
    match open(disk, SMALL) {
        Ok((journal, _)) => journal,
        Err(OpenError::Hole { .. }) => {
            let sizes = Sizes { segment: SMALL, ..Sizes::default() };
            let (journal, _) = Journal::open_repairing(Arc::new(disk.clone()), dir(), key(), sizes).unwrap();
            journal.set_aside_is_recorded().unwrap();
            journal
        }
        Err(error) => panic!("{error}"),
    }
}

impl Work {
    fn new() -> Self {
        let disk = FaultyDisk::new();
        let journal = Some(reopen(&disk));
        let (other, _) = open(&FaultyDisk::new(), SMALL).unwrap();
        drop(other.append(&(0..60).map(entry).collect::<Vec<_>>()).unwrap());
        let (batches, tokens, receipts) = (Vec::new(), Vec::new(), Vec::new());
        Self { disk, journal, other, batches, tokens, receipts, next: 0, powerful: 0 }
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(count, closing) => self.append(*count, *closing),
            Step::Sync => self.tokens.extend(guarded(|| self.journal().sync())),
            Step::SyncOther => self.tokens.push(self.other.sync().unwrap()),
            Step::AtProcess(which) => {
                if let Some((batch, entries)) = self.batch(*which) {
                    self.receipts.extend(batch.at_process().into_iter().zip(entries));
                }
            }
            Step::AtPower(which, with) => self.redeem(*which, *with),
            Step::Checkpoint => drop(guarded(|| self.journal().checkpoint())),
            Step::Fail(at, fault, true) => self.disk.fail_once(*at, *fault),
            Step::Fail(at, fault, false) => self.disk.fail_from(*at, *fault),
            Step::Heal => {
                self.disk.heal();
                self.disk.limit(None);
            }
            Step::Recover => drop(guarded(|| self.journal().try_recover())),
            Step::Room(more) => self.disk.limit(Some(self.disk.used() + more)),
            Step::Kill => self.restart(self.disk.copy(), false),
            Step::PowerCut(keep) => self.restart(self.disk.power_cut(*keep), true),
            Step::Disorder(seed) => {
                let left = disordered(&self.disk, *seed);
                self.restart(left, true);
            }
        }
    }

    fn append(&mut self, count: usize, closing: bool) {
        let entries: Vec<Entry> = (self.next..).take(count).map(allowed).collect();
        self.next += 10;
        let append = if closing { Journal::append_closing } else { Journal::append };
        if let Some(appended) = guarded(|| append(self.journal(), &entries)) {
            self.batches.push((appended, entries));
        }
    }

    fn batch(&mut self, which: usize) -> Option<(Appended, Vec<Entry>)> {
        let which = which.checked_rem(self.batches.len())?;
        Some(self.batches.remove(which))
    }

    fn redeem(&mut self, which: usize, with: Option<usize>) {
        let token = match with {
            None => guarded(|| self.journal().sync()),
            Some(with) => with.checked_rem(self.tokens.len()).map(|with| self.tokens[with].clone()),
        };
        let Some(token) = token else { return };
        let Some((batch, entries)) = self.batch(which) else { return };
        match batch.at_power(&token) {
            Ok(receipts) => {
                self.powerful += receipts.len();
                self.receipts.extend(receipts.into_iter().zip(entries));
            }
            Err(refused) => self.batches.push((refused.0, entries)),
        }
    }

    /// Goes on with what a crash left. Batches and tokens died with the process; receipts are what somebody acted upon.
    fn restart(&mut self, left: FaultyDisk, by_power: bool) {
        (self.batches, self.tokens) = (Vec::new(), Vec::new());
        if by_power {
            self.receipts.retain(|(receipt, _)| receipt.level() == Level::Power);
        }
        self.journal = None;
        self.journal = Some(reopen(&left));
        self.disk = left;
    }

    /// What would be left of the receipts if it ended now.
    fn check(&self, turn: u64) {
        self.holds(&self.disk.copy(), Level::Process, "killed");
        let keep = usize::try_from(turn % 7 * 20).unwrap();
        self.holds(&self.disk.power_cut(keep), Level::Power, "power cut");
        if turn.is_multiple_of(4) {
            self.holds(&disordered(&self.disk, turn), Level::Power, "power cut, in disorder");
        }
    }

    fn holds(&self, left: &FaultyDisk, level: Level, what: &str) {
        let journal = reopen(left);
        let entries = read_all(left);
        for (receipt, entry) in self.receipts.iter().filter(|(receipt, _)| receipt.level() >= level) {
            let found = entries.get(usize::try_from(receipt.position()).unwrap());
            assert_eq!(found, Some(entry), "{what}: {receipt:?}");
        }
        drop(journal);
    }
}

fn disordered(disk: &FaultyDisk, seed: u64) -> FaultyDisk {
    let mut state = seed;
    disk.power_cut_in_disorder(32, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 62 != 0
    })
}

/// Whatever is interleaved with whatever faults: at every moment a receipt in hand is an entry that a crash leaves in the
/// journal, of the process for level process, and of the machine for level power.
#[test]
fn rc_03_a_receipt_in_hand_is_an_entry_that_a_crash_leaves() {
    let config = ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() };
    let powerful = std::cell::Cell::new(0);
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let steps = proptest::collection::vec(step(), 20..50);
    let ran = runner.run(&steps, |steps| {
        let mut work = Work::new();
        for (turn, step) in (0..).zip(&steps) {
            work.take(step);
            work.check(turn);
        }
        powerful.set(powerful.get() + work.powerful);
        Ok(())
    });
    ran.unwrap();
    assert!(powerful.get() > 150, "only {} receipts at level power", powerful.get());
}
