//! How a command fails.

use std::fmt;
use std::process::ExitCode;

use super::show;

/// How a command fails: it decides the exit code.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was refused, or went wrong: 1.
    Failed(String),
    /// It was asked for in a way that makes no sense: 2.
    Usage(String),
    /// Sluice does not answer: 3.
    Unreachable(String),
}

impl Failure {
    /// It went wrong.
    pub(super) fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// It went wrong with this, and why: what an error says, and what it says is behind it.
    pub(super) fn caused(what: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        Self::Failed(causes.map(ToString::to_string).fold(what.to_string(), |told, cause| {
            // Some say themselves what is behind them.
            if told.ends_with(&cause) { told } else { format!("{told}: {cause}") }
        }))
    }

    /// The exit code.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        })
    }
}

/// What was wrong may quote what others wrote.
impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(reason) | Self::Usage(reason) | Self::Unreachable(reason)) = self;
        let mut lines = reason.lines();
        write!(out, "error: {}", show::safe(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| write!(out, "\n{}", show::safe(line)))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl fmt::Display for Told {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            let cause: &Told = self.1.as_deref()?;
            Some(cause)
        }
    }

    #[test]
    fn what_is_behind_an_error_is_said_once() {
        for says in ["it cannot be read", "it cannot be read: gone"] {
            let error = Told(says, Some(Box::new(Told("gone", None))));
            assert_eq!(Failure::caused("here", &error).to_string(), "error: here: it cannot be read: gone");
        }
    }
}
