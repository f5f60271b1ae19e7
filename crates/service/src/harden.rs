//! Keeps a process's memory out of core dumps, debuggers and swap, as far as the operating system lets it.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Forbids core dumps, and debuggers of the same user. Returns what the operating system refused, for people.
#[must_use]
pub fn forbid_core_dumps() -> Vec<String> {
    let mut refused = Vec::new();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        refused.push(format!(
            "core dumps cannot be limited ({error}): a crash may write secrets to disk; set LimitCORE=0 for this service"
        ));
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        refused.push(format!(
            "the process cannot be made undumpable ({error}): a crash, or a debugger of the same user, may read secrets"
        ));
    }
    refused
}

/// Locks all memory, now and later, so that it never reaches swap. Only where no limit could make a later allocation fail. Returns what
/// the operating system refused, for people.
#[must_use]
pub fn lock_memory() -> Vec<String> {
    // Where locked memory is limited, locking future mappings would end the process at the limit.
    if getrlimit(Resource::Memlock).current.is_some() && !geteuid().is_root() {
        return vec![
            "memory is not locked: its limit is too low, so secrets may reach swap; set LimitMEMLOCK=infinity for this service, or turn swap off".to_owned(),
        ];
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(flags) {
        Ok(()) => Vec::new(),
        Err(error) => vec![format!(
            "memory cannot be locked ({error}), so secrets may reach swap; give this service CAP_IPC_LOCK and LimitMEMLOCK=infinity, or turn swap off"
        )],
    }
}
