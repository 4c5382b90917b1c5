//! What is done to files that are there: removed, replaced, cut. Each function that does it stands in a table with what that
//! leaves in the journal; and of those that take something away that the journal speaks of, each caller stands in another,
//! with the entry that it makes before.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::code::{Call, Code, Function, Graph, Sources, parse, sources};
use super::{changed, refused};

/// A function: its file and its name.
type Place = (&'static str, &'static str);

/// What a function does to files.
enum Does {
    /// It takes away what the journal speaks of: who may call it is in [`CALLERS`], by this name.
    Takes(&'static str),
    /// It loses nothing that was recorded, or that has to be.
    Keeps(&'static str),
}

use Does::{Keeps, Takes};

const REPLACES: Does = Keeps("it is how others replace a file");
const ANOTHER_PROGRAM: Does = Keeps("a file of this program's own, for whoever runs it");

/// Every function that removes, replaces or cuts a file.
const CHANGES: [(Place, Does); 50] = [
    (("gateway/src/archive/bucket.rs", "remove"), Takes("bucket.remove")),
    (("gateway/src/archive/removal.rs", "done"), Keeps("the note of a removal, when all that it says is done")),
    (("gateway/src/archive/removal.rs", "note"), Takes("removal::note")),
    (("gateway/src/node/journal.rs", "publish"), Keeps("the public key, which the journal has")),
    (("gateway/src/sinks/outlet/local.rs", "write"), Keeps("half a line, which is written again")),
    (("gateway/src/sinks/position.rs", "replace"), Keeps("how far a sink or a channel is; an older one sends again")),
    (("gateway/src/ssh/keys.rs", "make"), Keeps("a key that is made, by the name that it has until it is whole")),
    (("gateway/src/tls.rs", "development"), Keeps("a certificate for trying it out")),
    (("gateway/src/tls.rs", "write_private"), Keeps("the key of a certificate for trying it out")),
    (("gateway/src/witnesses.rs", "remember_contradiction"), Keeps("what a witness said; it says it again")),
    (("gateway/src/witnesses.rs", "forget_contradiction"), Keeps("what a witness does not say any more")),
    (("ledger/src/checkpoints.rs", "begin"), Keeps("a list that is begun has a name of its own")),
    (("ledger/src/checkpoints.rs", "store"), Keeps("half a checkpoint, and the latest by the next")),
    (("ledger/src/disk.rs", "replace"), REPLACES),
    (("ledger/src/journal.rs", "abandon"), Keeps("entries without a receipt, which are written again elsewhere")),
    (("ledger/src/journal.rs", "recover"), Keeps("half an entry, which has no receipt")),
    (("ledger/src/journal.rs", "start_segment"), Keeps("a segment without entries, by one of the same name")),
    (
        ("ledger/src/journal/recovery.rs", "cut"),
        Keeps("a torn tail, which has no receipt; `hole` has put the rest aside"),
    ),
    (("ledger/src/journal/recovery.rs", "hole"), Takes("Journal::open_repairing")),
    (("ledger/src/journal/recovery.rs", "open"), Keeps("the latest checkpoint, by the last of the lists")),
    (("ledger/src/journal/recovery.rs", "set_aside_is_recorded"), Takes(".set_aside_is_recorded")),
    (("ledger/src/journal/reserve.rs", "make"), Keeps("room, which holds nothing")),
    (("ledger/src/journal/reserve.rs", "remove"), Keeps("room, which holds nothing")),
    (("ledger/src/rotation/files.rs", "next"), Keeps("a key that is not in force")),
    (
        ("ledger/src/rotation/files.rs", "settle"),
        Keeps("the old key, where the journal says that the new one is in force"),
    ),
    (("ledger/src/tape/archived.rs", "write"), Keeps("what says where a part is; the entry says it too")),
    (("ledger/src/tape/files.rs", "remove"), Takes("tape::remove")),
    (("ledger/src/tape/files.rs", "remove_archived"), Takes("tape::remove_archived")),
    (
        ("ledger/src/tape/files.rs", "remove_unfinished"),
        Keeps("half of another form of a part, which is there as it was"),
    ),
    (("ledger/src/tape/packed.rs", "compress"), Keeps("the other form of the same records")),
    (("ledger/src/tape/seal.rs", "shred"), Takes(".shred")),
    (("ledger/src/tiles/export.rs", "export"), Keeps("what is made from the journal")),
    (("ledger/src/tiles/export.rs", "tidy"), Keeps("what is made from the journal")),
    (("ledger/src/tiles/export.rs", "write"), Keeps("what is made from the journal")),
    (("ledger/src/witness/kept.rs", "keep"), Keeps("the cosignatures of a checkpoint, by those of a later one")),
    (("ledger/src/witness/memory.rs", "key"), Keeps("a witness has no journal")),
    (("ledger/src/witness/memory.rs", "open"), Keeps("a witness has no journal")),
    (("ledger/src/witness/memory.rs", "remember"), Keeps("a witness has no journal: its memory is the record")),
    (("sluice/src/cli/policy/unused.rs", "write"), ANOTHER_PROGRAM),
    (("sluice/src/cli/serve.rs", "serve"), ANOTHER_PROGRAM),
    (("sluice/src/cli/serve.rs", "write_addresses"), ANOTHER_PROGRAM),
    (("sluice/src/cli/sessions/pace.rs", "new"), ANOTHER_PROGRAM),
    (("sluice/src/cli/target.rs", "catalog"), ANOTHER_PROGRAM),
    (("store/src/revision/writing.rs", "commit"), Keeps("a note of a change that did not begin")),
    (
        ("store/src/revision/writing.rs", "put"),
        Keeps("a file of the revision, which history has, with its entry before"),
    ),
    (("store/src/revision/writing.rs", "remove"), REPLACES),
    (("store/src/revision/writing.rs", "rename"), REPLACES),
    (("store/src/revision/writing.rs", "write"), Keeps("what an earlier attempt left beside a file")),
    (("store/src/sqlite.rs", "create_private"), Keeps("what is there stays")),
    (("store/src/sqlite.rs", "remove_index"), Takes("store::remove_index")),
];

/// What says that it is recorded.
enum Before {
    /// The caller has it recorded by this call, and does what it is here for after that. The event is made by `maker`.
    Records { event: &'static str, by: &'static str, maker: Place },
    /// Nothing here: whoever calls the caller stands in this table by this name.
    Callers(&'static str),
    /// What is called records it itself: `maker` makes the event.
    Within { event: &'static str, maker: Place },
    /// `of` has recorded it, and only then left by `left` what is looked for by `looks` in `in_`.
    Proof { event: &'static str, of: Place, left: &'static str, in_: Place, looks: &'static str },
    /// It marks what it does, and the caller says after it by this call, which stands in this table, that it is recorded.
    Marks(&'static str),
    /// There is nothing to be recorded.
    Nothing(&'static str),
}

use Before::{Callers, Marks, Nothing, Proof, Records, Within};

const REMOVAL: Place = ("gateway/src/retention.rs", "remove_tape");
const GAPS: Place = ("gateway/src/node/journal.rs", "gaps");
const REPAIR: Place = ("gateway/src/node/journal.rs", "repair");
const ROUND: &str = "gateway/src/archive/round.rs";
const REMOVED: Before = Within { event: "TapeRemoved", maker: REMOVAL };
const ROTATED: Before = Within { event: "KeyRotated", maker: ("ledger/src/rotation.rs", "event") };
const NEXT_PART: Before = Nothing("a tape goes on in a next part; the one before stays");
const INDEX: Before = Nothing("the index is made again from the journal");
const SAME: Before = Nothing("the same records in another form, with the same digest");

/// Who may call what takes away, and what changes the key: what is called, by whom, and what says that it is recorded.
const CALLERS: [(&str, Place, Before); 24] = [
    ("retention::remove_tape", ("control/src/sessions.rs", "remove_tape"), REMOVED),
    ("retention::remove_tape", ("gateway/src/retention.rs", "sweep"), REMOVED),
    ("archive::remove", REMOVAL, Records { event: "TapeRemoved", by: ".record", maker: REMOVAL }),
    ("tape::remove", ("gateway/src/archive.rs", "remove"), Callers("archive::remove")),
    (".shred", ("ledger/src/tape/files.rs", "remove"), Callers("tape::remove")),
    ("removal::note", ("gateway/src/archive.rs", "remove"), Callers("archive::remove")),
    ("removal::note", (ROUND, "archive"), Nothing("the copy of a part that `tape::remove` took away meanwhile")),
    ("bucket.remove", (ROUND, "remove"), Callers("removal::note")),
    (
        "tape::remove_archived",
        (ROUND, "free"),
        Proof {
            event: "TapeArchived",
            of: (ROUND, "archive"),
            left: "archived.write",
            in_: ("ledger/src/tape/files.rs", "remove_archived"),
            looks: "Archived::of",
        },
    ),
    ("tape::compress", (ROUND, "ready"), SAME),
    ("tape::compress", ("gateway/src/session_tape.rs", "pack"), SAME),
    ("Journal::open_repairing", REPAIR, Marks(".set_aside_is_recorded")),
    (".set_aside_is_recorded", REPAIR, Records { event: "Gap", by: ".append", maker: GAPS }),
    (".set_aside_is_recorded", ("gateway/src/node.rs", "open_on"), Records { event: "Gap", by: "report", maker: GAPS }),
    ("node::repair", ("sluice/src/cli/repair.rs", "run"), Within { event: "Gap", maker: GAPS }),
    (".rotate", ("ledger/src/rotation/files.rs", "rotate"), ROTATED),
    (".rotate", ("gateway/src/node/journal.rs", "rotate_key"), ROTATED),
    (".rotate", ("gateway/src/session_tape.rs", "rotate"), NEXT_PART),
    (".rotate", ("gateway/src/postgres/rotate.rs", "rotate_tape"), NEXT_PART),
    (".rotate", ("gateway/src/http/session.rs", "act_on_deadline"), NEXT_PART),
    (".rotate", ("gateway/src/ssh/session.rs", "act_on_deadline"), NEXT_PART),
    ("node::rotate_key", ("sluice/src/cli/rotate_key.rs", "run"), ROTATED),
    ("store::remove_index", ("gateway/src/indexer.rs", "rebuild"), INDEX),
    ("indexer::rebuild", ("sluice/src/cli/reindex.rs", "run"), INDEX),
];

/// Where files are changed.
fn product() -> Result<Sources> {
    sources(&["ledger/src", "gateway/src", "store/src", "control/src", "sluice/src", "identity/src"])
}

/// Whether a call removes, replaces or cuts a file.
fn changes(call: &Call) -> bool {
    const FUNCTIONS: [&str; 9] = [
        "fs::remove_file",
        "fs::remove_dir",
        "fs::remove_dir_all",
        "fs::rename",
        "fs::write",
        "fs::copy",
        "fs::hard_link",
        "File::create",
        "disk::replace",
    ];
    if let Some(method) = call.path.strip_prefix('.') {
        return match method {
            "set_len" | "rename" | "remove_dir" | "remove_dir_all" | "remove_file" => true,
            "remove" => matches!(call.on.as_str(), "disk" | "inner" | "RealDisk" | "local"),
            "delete" => call.on == "s3",
            // Of a file, or of how one is to be opened.
            "truncate" => call.on == "file" || call.on.starts_with('.'),
            _ => false,
        };
    }
    FUNCTIONS.iter().any(|function| call.path == *function || call.path.ends_with(&format!("::{function}")))
}

/// Whether these methods are those of the disk itself.
fn is_disk(function: &Function) -> bool {
    matches!(function.implements.as_deref(), Some("Disk" | "DiskFile"))
}

fn place(function: &Function) -> (&str, &str) {
    (function.file.as_str(), function.name.as_str())
}

/// Whether a call may mean what this name of the table says: a method of that name, or a function of that path.
fn means(function: &Function, call: &Call, name: &str) -> bool {
    if let Some((on, method)) = name.split_once('.') {
        return call.path.strip_prefix('.') == Some(method) && (on.is_empty() || call.on == on);
    }
    let (module, own) = name.rsplit_once("::").unwrap_or(("", name));
    let Some((before, called)) = call.path.rsplit_once("::") else {
        // In its own file, it has no path.
        return call.path == own && function.file.ends_with(&format!("/{module}.rs"));
    };
    called == own && before.rsplit("::").next() == Some(module)
}

/// Names that mean something else elsewhere.
const COMMON: [&str; 8] = ["remove", "rotate", "note", "repair", "rebuild", "compress", "remove_tape", "rotate_key"];

/// The place among its calls where a function comes to call this, or hands it on.
fn called(function: &Function, name: &str) -> Option<usize> {
    let own = name.rsplit(['.', ':']).next().unwrap_or(name);
    let handed_on = || !COMMON.contains(&own) && function.words.contains(own) && function.name != own;
    function.calls.iter().position(|call| means(function, call, name)).or_else(|| handed_on().then_some(0))
}

fn found(code: &Code, (file, name): Place) -> Result<&Function> {
    let mut all = code.functions.iter().filter(|function| !function.is_test && place(function) == (file, name));
    all.next().with_context(|| format!("there is no {name} in {file}"))
}

fn makes(code: &Code, event: &str, maker: Place) -> Result<()> {
    ensure!(found(code, maker)?.makes.contains(event), "{maker:?} makes no {event}");
    Ok(())
}

/// Whether a function may come to another one.
fn leads(graph: &Graph<'_>, from: &Function, to: Place) -> bool {
    graph.reached(|function| std::ptr::eq(function, from)).into_iter().any(|function| place(function) == to)
}

/// Whether a caller does what the table says of it.
fn check_caller(code: &Code, graph: &Graph<'_>, at: Place, called_as: &str, before: &Before) -> Result<()> {
    let caller = found(code, at)?;
    let takes = called(caller, called_as).with_context(|| format!("{at:?} does not call {called_as}"))?;
    let is_before = |caller: &Function, first: &str, then: usize| {
        ensure!(called(caller, first).is_some_and(|first| first < then), "{at:?}: {first} does not come before");
        Ok(())
    };
    match before {
        Records { event, by, maker } => {
            makes(code, event, *maker)?;
            ensure!(at == *maker || leads(graph, caller, *maker), "{at:?} does not come to {maker:?}");
            is_before(caller, by, takes)
        }
        Within { event, maker } => {
            makes(code, event, *maker)?;
            ensure!(leads(graph, caller, *maker), "{at:?} does not come to {maker:?}");
            Ok(())
        }
        Proof { event, of, left, in_, looks } => {
            makes(code, event, *of)?;
            let (of, left) = (found(code, *of)?, *left);
            let left = called(of, left).with_context(|| format!("{} does not come to {left}", of.name))?;
            is_before(of, ".record", left)?;
            let in_ = found(code, *in_)?;
            ensure!(called(in_, looks).is_some(), "{} does not look for {looks}", in_.name);
            Ok(())
        }
        Marks(by) => {
            ensure!(called(caller, by).is_some_and(|then| takes < then), "{at:?}: {by} does not come after");
            ensure!(CALLERS.iter().any(|(name, of, _)| name == by && *of == at), "{at:?} does not stand with {by}");
            Ok(())
        }
        Callers(name) => {
            ensure!(CALLERS.iter().any(|(called, ..)| called == name), "nobody is listed who calls {name}");
            let own = name.rsplit(['.', ':']).next();
            ensure!(own == Some(at.1) || CHANGES.iter().any(|(_, does)| matches!(does, Takes(taken) if taken == name)));
            Ok(())
        }
        Nothing(why) => {
            ensure!(!why.is_empty());
            Ok(())
        }
    }
}

/// Holds all code that has to do with files against both tables.
fn check_files(code: &Code) -> Result<()> {
    let graph = Graph::of(code);
    let product = || code.functions.iter().filter(|function| !function.is_test && !is_disk(function));
    let there: BTreeSet<_> = product().filter(|function| function.calls.iter().any(changes)).map(place).collect();
    let listed: BTreeSet<_> = CHANGES.iter().map(|(place, _)| *place).collect();
    ensure!(there == listed, "say what these do to files: {:?}", there.symmetric_difference(&listed));
    for (place, does) in CHANGES {
        match does {
            Takes(name) => ensure!(CALLERS.iter().any(|(called, ..)| *called == name), "{place:?}: who calls {name}?"),
            Keeps(why) => ensure!(!why.is_empty()),
        }
    }
    for name in CALLERS.iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>() {
        let listed: BTreeSet<_> = CALLERS.iter().filter(|(called, ..)| *called == name).map(|(_, at, _)| *at).collect();
        let there: BTreeSet<_> = product().filter(|function| called(function, name).is_some()).map(place).collect();
        ensure!(there == listed, "say what is recorded before {name}: {:?}", there.symmetric_difference(&listed));
    }
    for (name, at, before) in &CALLERS {
        check_caller(code, &graph, *at, name, before).with_context(|| format!("{name} by {at:?}"))?;
    }
    Ok(())
}

#[test]
fn whatever_takes_a_file_away_is_recorded_before() -> Result<()> {
    check_files(&parse(&product()?)?)
}

#[test]
fn whoever_takes_a_file_away_without_an_entry_fails() -> Result<()> {
    let there = product()?;
    let code = parse(&there)?;
    let said = |file: &str, from: &str, to: &str| {
        let changed = changed(&there, file, from, to)?;
        let only = changed.into_iter().filter(|(name, _)| name == file).collect();
        refused(check_files(&code.with(&only)?))
    };
    // Somebody new removes, replaces or cuts a file, in whatever way.
    for body in [
        "std::fs::remove_file(path)",
        "{ use std::fs; fs::rename(path, path) }",
        "std::fs::File::create(path)",
        "file.set_len(0)",
        "file.truncate(0)",
        "self.disk.remove(path)",
        "ledger::disk::replace(disk, path, &[])",
    ] {
        let new = format!("fn quietly() {{ let _ = {body}; }}\n");
        assert!(said("gateway/src/broken_off.rs", "", &new)?.contains("\"quietly\""), "{body}");
    }
    // Somebody new calls what does.
    for (call, name) in [
        ("node.tape_keys.shred(&RealDisk, session)", ".shred"),
        ("ledger::tape::remove(&RealDisk, &dir, session, keys)", "tape::remove"),
        ("sessions.iter().for_each(ledger::tape::remove_archived)", "tape::remove_archived"),
        ("crate::archive::remove(node, session).await", "archive::remove"),
        ("crate::retention::remove_tape(node, session, reason, None).await", "retention::remove_tape"),
        ("bucket.remove(object).await", "bucket.remove"),
        ("file.rotate(fresh, at)", ".rotate"),
        ("store::remove_index(dir)", "store::remove_index"),
        ("crate::node::repair(dir)", "node::repair"),
    ] {
        let new = format!("async fn quietly() {{ let _ = {call}; }}\n");
        let said = said("gateway/src/broken_off.rs", "", &new)?;
        assert!(said.contains(&format!("before {name}: ")) && said.contains("\"quietly\""), "{call}: {said}");
    }
    // A caller that forgets its record, has it in a comment, or comes too late with it.
    let record = "    node.recorder.record(vec![entry(event)], Level::Power).await?;\n";
    let last = "    Ok(crate::archive::remove(node, session).await?)\n";
    let retention = "gateway/src/retention.rs";
    assert!(said(retention, record, "")?.contains("does not come before"));
    assert!(said(retention, record, &format!("//{record}"))?.contains("does not come before"));
    let late = format!("    crate::archive::remove(node, session).await?;\n{record}    Ok(())\n");
    assert!(said(retention, &format!("{record}{last}"), &late)?.contains("does not come before"));
    assert!(said(retention, "Event::TapeRemoved", "Event::TapeCut")?.contains("makes no TapeRemoved"));
    let aside = "journal.set_aside_is_recorded()";
    assert!(
        said("gateway/src/node/journal.rs", "journal.append(&entries)", "journal.check(&entries)")?.contains("before")
    );
    assert!(said("gateway/src/node/journal.rs", aside, "journal.nothing()")?.contains("set_aside_is_recorded"));
    let looks = "Archived::of(disk, dir, session, part)?.ok_or_else";
    assert!(said("ledger/src/tape/files.rs", looks, "Some(()).ok_or_else")?.contains("does not look for Archived::of"));
    Ok(())
}
