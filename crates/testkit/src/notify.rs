//! Where approvers are told of approvals: servers that check what comes as the real ones do, and misbehave as they are told.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod hook;
mod mail;
mod slack;
mod teams;

pub use hook::{Fault, Taken, Webhook};
pub use mail::{Mail, MailServer, MailTls};
pub use slack::{Callback, Message, Slack};
pub use teams::{Card, Invoke, Teams};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
