//! The memory of a process that holds keys, passwords and what callers may see: no core dump has it, no other process of
//! this user reads it, and it is not written to swap.

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use store::config::LockMemory;

use super::failure::Failure;

/// No core dump, and no other process of this user looks in.
pub(super) fn leave_no_core() {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, nothing) {
        tracing::warn!(%error, "core dumps cannot be turned off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user may read the memory of this one");
    }
}

/// Keeps memory out of swap. To be called before anything secret is read.
pub(super) fn lock(wanted: LockMemory) -> Result<(), Failure> {
    if wanted == LockMemory::Off {
        return Ok(());
    }
    match lock_all() {
        Ok(()) => tracing::info!("memory is locked: it is not written to swap"),
        Err(error) if wanted == LockMemory::On => {
            return Err(Failure::Failed(format!(
                "lock_memory is \"on\", and memory cannot be locked: {error}; give the process RLIMIT_MEMLOCK without a \
                 limit (systemd: LimitMEMLOCK=infinity), or CAP_IPC_LOCK"
            )));
        }
        Err(error) => tracing::warn!(
            %error,
            "memory is not locked, and may be written to swap: RLIMIT_MEMLOCK has a limit (lock_memory)"
        ),
    }
    Ok(())
}

/// Locks what there is and what comes, each page once it is used. A limit does not do, however high: it counts what is
/// reserved, and memory beyond it would be refused in the middle of the work, which ends the process.
fn lock_all() -> Result<(), Errno> {
    let limit = getrlimit(Resource::Memlock);
    let is_limited = limit.maximum.is_some();
    // Under a limit of nothing only those can lock whom no limit binds.
    let current = is_limited.then_some(0);
    setrlimit(Resource::Memlock, Rlimit { current, ..limit })?;
    let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    if is_limited {
        setrlimit(Resource::Memlock, limit)?;
    }
    locked
}
