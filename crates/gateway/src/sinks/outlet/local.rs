//! A file or standard output, of which each line is an event.
//!
//! A thread writes, because a full pipe or a disk that hangs would hold a thread of the runtime for as long as it likes.
//! What it has not answered for is still the same batch, so a late answer is the answer.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::feed::Batch;
use super::Failure;

/// A place that lines are written to.
trait Place: Send {
    /// Writes the lines, and makes them last where that can be had.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
}

struct Job {
    lines: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

/// Something that lines are written to.
#[derive(Debug)]
pub(in super::super) struct Local {
    jobs: SyncSender<Job>,
    waiting: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Local {
    /// A file that is appended to.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Self::start(Lines { path: path.to_owned(), open: None })
    }

    /// Standard output.
    pub(super) fn stdout() -> io::Result<Self> {
        Self::start(Stdout)
    }

    /// The thread ends when this value is dropped and it is done: at the end of Sluice at the latest.
    fn start(place: impl Place + 'static) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(1);
        std::thread::Builder::new().name("sink".into()).spawn(move || work(place, &queue))?;
        Ok(Self { jobs, waiting: None })
    }

    /// Writes a batch.
    pub(super) async fn deliver(&mut self, batch: &Batch, deadline: Duration) -> Result<(), Failure> {
        let mut waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None => {
                let (written, waiting) = oneshot::channel();
                let lines = format!("{}\n", batch.events.join("\n")).into_bytes();
                self.jobs.try_send(Job { lines, written }).map_err(|_| Failure::Ended)?;
                waiting
            }
        };
        match tokio::time::timeout(deadline, &mut waiting).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) => Err(Failure::Ended),
            Err(_) => {
                self.waiting = Some(waiting);
                Err(Failure::Deadline)
            }
        }
    }
}

fn work(mut place: impl Place, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        // Whoever gave up waiting is told nothing.
        let _ = job.written.send(place.write(&job.lines));
    }
}

struct Stdout;

impl Place for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(lines)?;
        out.flush()
    }
}

/// A file of lines.
struct Lines {
    path: PathBuf,
    open: Option<File>,
}

impl Place for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        let before = file.metadata()?;
        let written = file.write_all(lines).and_then(|()| synced(file, &before));
        if written.is_err() {
            // Half a line would spoil the next one: the batch is written again whole.
            if before.is_file() {
                let _ = file.set_len(before.len());
            }
            self.open = None;
        }
        written
    }
}

/// A disk that fails to sync may have lost what was written; a pipe or a device has nothing to sync.
fn synced(file: &File, kind: &Metadata) -> io::Result<()> {
    if kind.is_file() { file.sync_data() } else { Ok(()) }
}

impl Lines {
    /// The file at the path: opened again if it was rotated away.
    fn file(&mut self) -> io::Result<&mut File> {
        let is_there = match &self.open {
            Some(open) => same_file(&open.metadata()?, &self.path),
            None => false,
        };
        let open = match self.open.take().filter(|_| is_there) {
            Some(open) => open,
            None => open(&self.path)?,
        };
        Ok(self.open.insert(open))
    }
}

fn same_file(open: &Metadata, path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

/// Opens the file for its owner alone. A line that a crash cut off is ended, so that the next one is whole.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
    let about = file.metadata()?;
    if about.is_file() && about.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_ended_and_the_file_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut lines = Lines { path: path.clone(), open: None };
        lines.write(b"1\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "1\n2 and ha").unwrap();
        drop(lines);
        Lines { path: path.clone(), open: None }.write(b"2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2 and ha\n2\n");
    }

    #[test]
    fn a_file_that_was_rotated_away_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("events.jsonl"), dir.path().join("events.jsonl.1"));
        let mut lines = Lines { path: path.clone(), open: None };
        lines.write(b"1\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        lines.write(b"2\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        lines.write(b"3\n").unwrap();
        assert_eq!(
            (std::fs::read_to_string(old).unwrap().as_str(), std::fs::read_to_string(path).unwrap().as_str()),
            ("1\n", "3\n")
        );
    }

    #[test]
    fn a_full_disk_is_an_error_until_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut lines = Lines { path: path.clone(), open: None };
        assert_eq!(lines.write(b"1\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        std::fs::remove_file(&path).unwrap();
        lines.write(b"1\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
    }
}
