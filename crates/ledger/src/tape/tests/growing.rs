//! Reading a tape while it is written.

use std::sync::Mutex;

use super::*;
use crate::disk::DiskFile;

/// A disk whose files are shorter for so many reads, and whole from then on.
#[derive(Clone, Debug)]
struct Growing {
    disk: FaultyDisk,
    length: usize,
    reads: usize,
}

#[derive(Debug)]
struct GrowingFile {
    file: Arc<dyn DiskFile>,
    length: usize,
    left: Mutex<usize>,
}

impl DiskFile for GrowingFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut left = self.left.lock().unwrap();
        let read = self.file.read_at(offset, into)?;
        if *left == 0 {
            return Ok(read);
        }
        *left -= 1;
        Ok(read.min(self.length.saturating_sub(usize::try_from(offset).unwrap())))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn lock(&self) -> io::Result<()> {
        self.file.lock()
    }
}

impl Disk for Growing {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path)
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open_append(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open_read(path)?;
        if path.extension().is_some_and(|kind| kind == "key") {
            return Ok(file);
        }
        Ok(Arc::new(GrowingFile { file, length: self.length, left: Mutex::new(self.reads) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

/// Whatever is written between any two looks at a tape, it is read whole, and nothing of it is taken for damage.
#[test]
fn what_is_written_between_two_reads_is_no_damage() {
    for keys in both() {
        let keys = keys.as_ref();
        let disk = FaultyDisk::new();
        three(&disk, keys);
        let whole = file(&disk).1.len();
        for length in (HEADER..=whole).step_by(5) {
            for reads in 1..12 {
                let growing = Growing { disk: disk.clone(), length, reads };
                let mut reader = TapeReader::open(&growing, dir(), SESSION, keys).unwrap();
                let mut all = Vec::new();
                while reader.end() != Some(TapeEnd::Complete) {
                    let read = reader.next().unwrap_or_else(|error| panic!("{length} for {reads} reads: {error}"));
                    all.extend(read);
                }
                assert_eq!(all, expected(), "{length} for {reads} reads");
            }
        }
    }
}
