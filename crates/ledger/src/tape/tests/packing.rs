//! Compressing beside somebody who compresses the same part.

use std::sync::Mutex;

use super::*;
use crate::disk::DiskFile;

/// A disk on which, before the N-th thing that is done to it, something else happens.
#[derive(Debug)]
struct Between {
    disk: FaultyDisk,
    /// How many operations are left until then.
    left: Mutex<Option<usize>>,
    keys: Option<KeyStore>,
    /// Which operation of the other fails.
    fails_at: u64,
}

impl Between {
    fn now(&self) -> &FaultyDisk {
        let is_now = {
            let mut left = self.left.lock().unwrap();
            *left = left.and_then(|left| left.checked_sub(1));
            *left == Some(0)
        };
        if is_now {
            self.disk.fail_once(self.fails_at, Fault::Io);
            let _ = compress(&self.disk, dir(), SESSION, Part::FIRST, self.keys.as_ref());
            self.disk.heal();
        }
        &self.disk
    }
}

impl Disk for Between {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.now().create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.now().list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.now().create(path)
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.now().open_append(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.now().open_read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.now().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.now().remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.now().remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.now().sync_dir(dir)
    }
}

/// Two compress one part: the other begins at any moment, and fails, or is broken off, at any of its operations.
#[test]
fn rc_14_two_that_compress_one_part_lose_nothing_wherever_one_of_them_fails() {
    for number in 0..2 {
        let mut cases = 0;
        for at in 1..14 {
            for fails_at in 1.. {
                let keys = both().into_iter().nth(number).unwrap();
                let disk = FaultyDisk::new();
                let told = three(&disk, keys.as_ref());
                let keys = || both().into_iter().nth(number).unwrap();
                let before = disk.operations();
                let between = Between { disk: disk.clone(), left: Mutex::new(Some(at)), keys: keys(), fails_at };
                let _ = compress(&between, dir(), SESSION, Part::FIRST, keys().as_ref());
                let what = format!("at {at}, failing at {fails_at}");
                for left in [disk.copy(), disk.power_cut(0), disk.power_cut(4000)] {
                    let read = TapeReader::open(&left, dir(), SESSION, keys().as_ref());
                    let whole = read.and_then(|mut tape| tape.digest());
                    assert_eq!(whole.ok(), Some(told), "{what}: {:?}", left.contents().keys());
                }
                cases += 1;
                // What was left in the middle goes when Sluice starts, and then it is compressed.
                remove_unfinished(&disk, dir()).unwrap();
                compress(&disk, dir(), SESSION, Part::FIRST, keys().as_ref()).unwrap();
                assert!(file(&disk).0.extension().is_some_and(|form| form == "tapez"), "{what}");
                if disk.operations() - before < fails_at {
                    break;
                }
            }
        }
        assert!(cases > 100, "{cases}");
    }
}
