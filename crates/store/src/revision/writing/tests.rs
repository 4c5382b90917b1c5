use std::cell::Cell;
use std::os::unix::fs::symlink;

use super::*;

/// Does everything until the N-th step, at which the machine stops; a write leaves half of the file.
struct Stops {
    left: Cell<usize>,
}

impl Stops {
    fn step(&self) -> io::Result<()> {
        match self.left.get() {
            0 => Err(io::Error::other("the machine stopped")),
            left => {
                self.left.set(left - 1);
                Ok(())
            }
        }
    }
}

impl Steps for Stops {
    fn write(&self, path: &Path, bytes: &[u8], is_private: bool) -> io::Result<()> {
        let step = self.step();
        if step.is_err() {
            fs::write(path, &bytes[..bytes.len() / 2])?;
        }
        step.and_then(|()| Real.write(path, bytes, is_private))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| Real.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| Real.remove(path))
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| Real.make_directory(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| Real.sync_directory(path))
    }
}

struct World {
    home: tempfile::TempDir,
}

const BEFORE: [(&str, Option<&str>); 5] = [
    ("classification.toml", Some("# old")),
    ("policies/gone.cedar", Some("// gone")),
    ("policies/main.cedar", Some("// old")),
    ("policies/new.cedar", None),
    ("tests/new.toml", None),
];
const AFTER: [(&str, Option<&str>); 5] = [
    ("classification.toml", Some("# new")),
    ("policies/gone.cedar", None),
    ("policies/main.cedar", Some("// new, and longer")),
    ("policies/new.cedar", Some("// and one more")),
    ("tests/new.toml", Some("# in a directory that was not there")),
];

impl World {
    fn new() -> Self {
        let world = Self { home: tempfile::tempdir().unwrap() };
        fs::create_dir_all(world.dir().join("policies")).unwrap();
        fs::create_dir(world.data()).unwrap();
        fs::write(world.dir().join("targets.toml"), "# never").unwrap();
        for (name, text) in BEFORE {
            if let Some(text) = text {
                fs::write(world.dir().join(name), text).unwrap();
            }
        }
        world
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("revision")
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn holds(&self, files: [(&str, Option<&str>); 5]) -> bool {
        files.iter().all(|(name, text)| fs::read_to_string(self.dir().join(name)).ok().as_deref() == *text)
    }

    fn begin(&self, steps: &dyn Steps) -> Result<(), WriteError> {
        begin_by(steps, &self.data(), &self.dir(), &pending())
    }

    /// What a process that starts does first.
    fn restart(&self) -> Result<Option<Pending>, WriteError> {
        finish(&self.data(), &self.dir())
    }
}

fn pending() -> Pending {
    let changes = BEFORE.iter().zip(AFTER).map(|((name, before), (_, after))| Change {
        file: name.parse().unwrap(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    });
    Pending {
        proposal: ProposalId::from_bits(7),
        digest: Digest([3; 32]),
        by: SubjectKey { issuer: "corp".into(), id: "bob".into() },
        at: Timestamp(1),
        changes: changes.collect(),
    }
}

#[test]
fn a_change_is_made_as_a_whole_and_leaves_nothing_behind() {
    let world = World::new();
    world.begin(&Real).unwrap();
    assert!(world.holds(BEFORE), "nobody reads what is staged");
    assert_eq!(world.restart().unwrap(), Some(pending()));
    assert!(world.holds(AFTER));
    assert_eq!(world.restart().unwrap(), Some(pending()), "again, and nothing changes");
    forget(&world.data()).unwrap();
    assert_eq!(world.restart().unwrap(), None);
    let left: Vec<_> =
        fs::read_dir(world.dir().join("policies")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(fs::read_to_string(world.dir().join("targets.toml")).unwrap(), "# never");
}

#[test]
fn op_02_a_crash_at_any_step_leaves_all_of_the_old_or_all_of_the_new() {
    // The disk may lose a directory that was made, with all that was in it.
    for loses_directory in [false, true] {
        stopped_at_any_step(loses_directory);
    }
}

fn stopped_at_any_step(loses_directory: bool) {
    let (mut old, mut new) = (0, 0);
    for stop in 0.. {
        let world = World::new();
        let steps = Stops { left: Cell::new(stop) };
        let begun = world.begin(&steps);
        let finished = begun.and_then(|()| finish_by(&steps, &world.data(), &world.dir()));
        let was_whole = finished.is_ok();
        if loses_directory && !was_whole {
            gone(fs::remove_dir_all(world.dir().join("tests"))).unwrap();
        }
        let known = world.restart().unwrap_or_else(|error| panic!("step {stop}: {error}"));
        match known {
            Some(_) => {
                assert!(world.holds(AFTER), "step {stop}");
                new += 1;
            }
            None => {
                assert!(world.holds(BEFORE), "step {stop}");
                old += 1;
            }
        }
        if was_whole {
            break;
        }
    }
    assert!(old >= 5 && new >= 4, "{old} {new}");
}

#[test]
fn op_02_a_write_that_fails_changes_nothing_and_is_tried_again() {
    for stop in 0..5 {
        let world = World::new();
        assert!(world.begin(&Stops { left: Cell::new(stop) }).is_err());
        assert_eq!(world.restart().unwrap(), None, "{stop}");
        assert!(world.holds(BEFORE));
        world.begin(&Real).unwrap();
        world.restart().unwrap();
        assert!(world.holds(AFTER));
    }
}

#[test]
fn a_file_that_somebody_else_changed_is_left_as_it_is() {
    let world = World::new();
    let main = world.dir().join("policies/main.cedar");
    fs::write(&main, "// another").unwrap();
    assert!(matches!(world.begin(&Real), Err(WriteError::Changed(path)) if path == main));
    assert_eq!(world.restart().unwrap(), None);
    fs::write(&main, "// old").unwrap();
    world.begin(&Real).unwrap();
    fs::write(&main, "// another").unwrap();
    assert!(matches!(world.restart(), Err(WriteError::Changed(path)) if path == main));
    assert_eq!(fs::read_to_string(world.dir().join("classification.toml")).unwrap(), "# old", "none of it is written");
}

#[test]
fn what_something_else_puts_there_is_not_written_over() {
    for linked in ["", "policies", "policies/main.cedar"] {
        let world = World::new();
        let (path, moved) = (world.dir().join(linked), world.home.path().join("moved"));
        let path = if linked.is_empty() { world.dir() } else { path };
        fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        assert!(matches!(world.begin(&Real), Err(WriteError::KeptElsewhere(found)) if found == path), "{linked}");
        assert!(world.holds(BEFORE));
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_before_anything_happens() {
    let world = World::new();
    // A directory where the staged file would be: nobody can write over it, root neither.
    fs::create_dir(world.dir().join("policies/.new.cedar.sluice-new")).unwrap();
    let refused = world.begin(&Real).unwrap_err();
    assert!(matches!(&refused, WriteError::File { .. }), "{refused}");
    assert_eq!(world.restart().unwrap(), None);
    assert!(world.holds(BEFORE));
}

#[test]
fn the_file_keeps_who_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let main = world.dir().join("policies/main.cedar");
    fs::set_permissions(&main, fs::Permissions::from_mode(0o640)).unwrap();
    world.begin(&Real).unwrap();
    world.restart().unwrap();
    assert_eq!(main.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}
