//! What every error says about itself.

/// Whose doing an error is; it decides the SQLSTATE or status, the log level and the metric.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The caller sent something wrong.
    Client,
    /// The target failed, is unreachable or breaks its protocol.
    Target,
    /// Policy refused.
    Policy,
    /// A bound was reached: size, time, count.
    Limit,
    /// Sluice itself failed, or cannot record.
    Internal,
}
