//! A terminal that shows what it is sent as it is: a line feed goes down, and not to the beginning of a line as well.

use std::io::Write;

use rustix::termios::{OptionalActions, OutputModes, Termios, tcgetattr, tcsetattr};

use super::stage::LEAVE;

/// The terminal of standard output, until it is dropped or the command is interrupted.
pub(super) struct Unprocessed(Option<Termios>);

impl Unprocessed {
    /// Changes nothing where that cannot be done.
    pub(super) fn begin() -> Self {
        let out = std::io::stdout();
        let Ok(before) = tcgetattr(&out) else { return Self(None) };
        let mut unprocessed = before.clone();
        unprocessed.output_modes.remove(OutputModes::OPOST);
        restore_when_interrupted(before.clone());
        let _ = tcsetattr(&out, OptionalActions::Drain, &unprocessed);
        Self(Some(before))
    }
}

impl Drop for Unprocessed {
    fn drop(&mut self) {
        self.0.iter().for_each(restore);
    }
}

fn restore(before: &Termios) {
    let _ = tcsetattr(std::io::stdout(), OptionalActions::Drain, before);
}

/// Has the terminal left as it was also if the command is interrupted.
fn restore_when_interrupted(before: Termios) {
    let interrupted = async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = std::io::stdout().lock().write_all(LEAVE.as_bytes());
            restore(&before);
            std::process::exit(130);
        }
    };
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        std::thread::spawn(move || runtime.block_on(interrupted));
    }
}
