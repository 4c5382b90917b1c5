//! The forms that events are sent in.

use store::config::{SinkConfig, SinkFormat, SinkKind};

use super::telling::Telling;

mod ocsf;
mod otlp;
mod syslog;

pub(super) use otlp::request as otlp_request;

/// The form of one event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// The JSON that Sluice shows everywhere.
    Json,
    /// An event of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// A log record of OTLP.
    Otlp,
    /// A framed syslog message around one of the first two.
    Syslog(SinkFormat),
}

impl Form {
    /// The form that a sink sends.
    pub(super) const fn of(config: &SinkConfig) -> Self {
        match (&config.kind, config.format) {
            (SinkKind::Otlp(_), _) => Self::Otlp,
            (SinkKind::Syslog { .. }, format) => Self::Syslog(format),
            (_, SinkFormat::Json) => Self::Json,
            (_, SinkFormat::Ocsf) => Self::Ocsf,
        }
    }

    /// The event in this form: JSON without a line break, or a whole syslog frame.
    pub(super) fn write(self, telling: &Telling<'_>) -> String {
        match self {
            Self::Json | Self::Syslog(SinkFormat::Json) => self.framed(telling, telling.json()),
            Self::Ocsf | Self::Syslog(SinkFormat::Ocsf) => self.framed(telling, ocsf::event(telling).to_string()),
            Self::Otlp => otlp::record(telling).to_string(),
        }
    }

    /// Only a syslog receiver has to be told where a message ends.
    fn framed(self, telling: &Telling<'_>, body: String) -> String {
        match self {
            Self::Syslog(_) => syslog::frame(telling, &body),
            Self::Json | Self::Ocsf | Self::Otlp => body,
        }
    }
}

#[cfg(test)]
mod tests;
