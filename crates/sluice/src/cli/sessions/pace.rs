//! A tape at the pace at which it was recorded, or faster.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use model::time::Timestamp;

/// Says how long to wait before each line.
pub(super) struct Pace {
    speed: f64,
    longest: Option<Duration>,
    last: Option<Timestamp>,
}

impl Pace {
    pub(super) const fn new(speed: f64, longest: Option<Duration>) -> Self {
        Self { speed, longest, last: None }
    }

    /// How long to wait before a line of this moment.
    pub(super) fn wait(&mut self, at: Timestamp) -> Duration {
        let last = self.last.replace(at).unwrap_or(at);
        let passed = Duration::from_millis(at.0.saturating_sub(last.0));
        let scaled = Duration::try_from_secs_f64(passed.as_secs_f64() / self.speed).unwrap_or(passed);
        self.longest.map_or(scaled, |longest| scaled.min(longest))
    }
}

/// How fast: 1 is as it was, 4 is four times as fast.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed: &f64| speed.is_finite() && (0.01..=10_000.0).contains(speed));
    speed.ok_or_else(|| String::from("write a number from 0.01 to 10000; 1 is the original pace"))
}

/// Lines that wait on the disk, for whoever sends them does not wait. The file has no name.
pub(super) struct Spool(BufWriter<File>);

impl Spool {
    pub(super) fn new() -> io::Result<Self> {
        for number in 0..100u32 {
            let path = std::env::temp_dir().join(format!("sluice-replay-{}-{number}", std::process::id()));
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    std::fs::remove_file(&path)?;
                    return Ok(Self(BufWriter::new(file)));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("there is no free name for a temporary file"))
    }

    pub(super) fn put(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.0, "{line}")
    }

    /// The lines, in their order.
    pub(super) fn lines(self) -> io::Result<impl Iterator<Item = io::Result<String>>> {
        let mut file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(BufReader::new(file).lines())
    }

    /// The lines, in their order; they are kept.
    pub(super) fn again(&mut self) -> io::Result<impl Iterator<Item = io::Result<String>>> {
        self.0.flush()?;
        let mut file = self.0.get_ref().try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file).lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_scaled_and_bounded() {
        let mut pace = Pace::new(2.0, Some(Duration::from_secs(3)));
        let waits: Vec<u128> =
            [1000, 2000, 2000, 1500, 61_500].iter().map(|at| pace.wait(Timestamp(*at)).as_millis()).collect();
        assert_eq!(waits, [0, 500, 0, 0, 3000]);
        assert!(speed("0").is_err() && speed("NaN").is_err() && speed("-1").is_err());
        assert_eq!(speed("1.5"), Ok(1.5));
    }

    #[test]
    fn a_spool_gives_back_what_was_put() {
        let mut spool = Spool::new().unwrap();
        spool.put("a").unwrap();
        spool.put("b").unwrap();
        assert_eq!(spool.again().unwrap().count(), 2);
        assert_eq!(spool.lines().unwrap().collect::<io::Result<Vec<_>>>().unwrap(), ["a", "b"]);
    }
}
