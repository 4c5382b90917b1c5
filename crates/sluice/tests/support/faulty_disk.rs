//! A disk that fails when a test says so, under the real program: `faulty_disk.c`, which is loaded into it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use tempfile::TempDir;

/// EIO: the device says no.
pub const BROKEN: u64 = 5;
/// EMFILE: no file can be opened any more.
pub const NO_DESCRIPTOR: u64 = 24;
/// EROFS: the file system is read-only.
pub const READ_ONLY: u64 = 30;
/// It does not return until the fault is over.
pub const HANGS: u64 = u64::MAX;

/// What is asked of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes are written.
    Writes,
    /// What was written is made to last.
    Syncs,
    /// A file is made, opened for writing, renamed, cut or removed.
    Changes,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Writes, Self::Syncs, Self::Changes];

    const fn index(self) -> u64 {
        match self {
            Self::Writes => 0,
            Self::Syncs => 1,
            Self::Changes => 2,
        }
    }
}

/// The words of the control file, as `struct control` has them.
const FAULT: u64 = 0;
const TIMES: u64 = 3;
const MET: u64 = 6;
const RATE: u64 = 9;
const ROOM: u64 = 10;
const WORDS: usize = 11;

/// The disk of some directories. It is well until it is told to fail, and again when this is dropped.
pub struct FaultyDisk {
    control: File,
    path: PathBuf,
    under: String,
    _home: TempDir,
}

impl FaultyDisk {
    /// That of the directories whose paths end so, and of all in them.
    pub fn under(directories: &[&str]) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let path = home.path().join("control");
        fs::write(&path, [0; WORDS * 8])?;
        let control = File::options().read(true).write(true).open(&path)?;
        Ok(Self { control, path, under: directories.join(":"), _home: home })
    }

    /// With what the program has to be started.
    pub fn environment(&self) -> Result<Vec<(OsString, OsString)>> {
        Ok(vec![
            ("LD_PRELOAD".into(), library()?.into()),
            ("FAULTY_DISK".into(), self.path.clone().into()),
            ("FAULTY_DISK_UNDER".into(), self.under.clone().into()),
        ])
    }

    /// Everything of this kind meets the fault: an errno, or [`HANGS`].
    pub fn fail(&self, kind: Kind, fault: u64) {
        self.set(FAULT + kind.index(), fault);
    }

    /// The next so many meet it.
    pub fn fail_times(&self, kind: Kind, fault: u64, times: u64) {
        self.set(TIMES + kind.index(), times);
        self.fail(kind, fault);
    }

    /// Nothing can be changed any more.
    pub fn become_read_only(&self) {
        Kind::ALL.iter().for_each(|kind| self.fail(*kind, READ_ONLY));
    }

    /// It writes so many bytes a second.
    pub fn slow_down(&self, rate: u64) {
        self.set(RATE, rate);
    }

    /// So many bytes are left, and those of files that are removed.
    pub fn fill_up(&self, left: u64) {
        self.set(ROOM, left + 1);
    }

    /// It is as good as new, and what hung goes on.
    pub fn heal(&self) {
        let state = (FAULT..MET).chain([RATE, ROOM]);
        state.for_each(|word| self.set(word, 0));
    }

    /// How often this failed, or hung.
    pub fn met(&self, kind: Kind) -> u64 {
        let mut word = [0; 8];
        self.control.read_exact_at(&mut word, (MET + kind.index()) * 8).expect("the control file is read");
        u64::from_le_bytes(word)
    }

    fn set(&self, word: u64, value: u64) {
        self.control.write_all_at(&value.to_le_bytes(), word * 8).expect("the control file is written");
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        self.heal();
    }
}

/// The library, built once for this program.
fn library() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(|error| anyhow!(error))
}

fn build() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/faulty_disk.c");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(directory)?;
    let (library, own) =
        (directory.join("faulty_disk.so"), directory.join(format!("faulty_disk.{}", std::process::id())));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&own).arg(source).arg("-ldl");
    testkit::command::run(compiler, b"")?.success()?;
    // Whole or not at all: another test program may load it at this moment.
    fs::rename(&own, &library)?;
    Ok(library)
}
