//! Exit codes: what a script can tell from how a command ended. The table stands in
//! `docs/errors.md`.

use std::error::Error;
use std::process::ExitCode;

use quorate_api::{ClientError, Problem};
use quorate_chain::{ChainError, VerifyError};
use quorate_party_agent::control::ControlError;
use quorate_policy::{EngineError, SourceError};
use quorate_service::ConfigError;
use quorate_types::{
    Class, Code, DerivationPathError, IdError, NetworkError, PayloadCode, ProblemCode,
    ThresholdError,
};

/// End of a command, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success: the command did what was asked.
    Done = 0,
    /// Something failed on the machine that reports it: a file, a device, a clock, the program.
    LocalFault = 1,
    /// The command cannot be carried out as it was given. The argument parser ends with this code
    /// too.
    Misuse = 2,
    /// The policy, the custodians or the person at the terminal said no.
    Denied = 3,
    /// The request waits for approvals or for time.
    Waiting = 4,
    /// The orchestrator, or too many custodians, cannot be reached or cannot take part now.
    Unreachable = 5,
    /// A custodian or the orchestrator misbehaved, or ended the work with a code that this program
    /// does not know.
    Failed = 6,
}

impl Exit {
    /// The exit code of a class of problems.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Waiting => Self::Waiting,
            Class::Denied => Self::Denied,
            Class::Caller => Self::Misuse,
            Class::PeerAbsent => Self::Unreachable,
            Class::PeerMisbehaved | Class::Unknown => Self::Failed,
            Class::LocalFault | Class::Bug => Self::LocalFault,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Something that a command says of itself, with the code that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Said {
    /// Why the command does not go on.
    pub code: ProblemCode,
    /// The reason for people.
    pub detail: String,
}

/// Ends a function with an error that is the caller's to mend.
macro_rules! misuse {
    ($($arg:tt)*) => { $crate::exit::said!(quorate_types::ProblemCode::Misuse, $($arg)*) };
}
/// Ends a function because the person at the terminal said no.
macro_rules! declined {
    ($($arg:tt)*) => { $crate::exit::said!(quorate_types::ProblemCode::Declined, $($arg)*) };
}
/// Ends a function because the orchestrator's answer contradicts what the custodians signed, or
/// itself.
macro_rules! untrue {
    ($($arg:tt)*) => {
        $crate::exit::said!(quorate_types::ProblemCode::OrchestratorMisbehaved, $($arg)*)
    };
}
/// Ends a function with an error that has a code of its own.
macro_rules! said {
    ($code:expr, $($arg:tt)*) => {
        return Err($crate::exit::Said {
            code: $code.into(),
            detail: format!($($arg)*),
        }
        .into())
    };
}
pub(crate) use {declined, misuse, said, untrue};

/// The problem document of an error, its detail still without what was added on the way.
pub fn problem_of(error: &anyhow::Error) -> Problem {
    let coded = |code: Code<ProblemCode>| Problem::new(0, code, "The command failed", "");
    let of_cause = |cause: &(dyn Error + 'static)| match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Problem(problem)) => Some((**problem).clone()),
        _ => code_of(cause).map(|code| coded(code.into())),
    };
    let found = error.chain().find_map(of_cause);
    found.unwrap_or_else(|| coded(ProblemCode::Client.into()))
}

/// The code of one error of a chain of them, where its type says what kind of error it is.
fn code_of(cause: &(dyn Error + 'static)) -> Option<ProblemCode> {
    if let Some(said) = cause.downcast_ref::<Said>() {
        return Some(said.code);
    }
    if let Some(error) = cause.downcast_ref::<ChainError>() {
        return Some(error.code().into());
    }
    if cause.is::<VerifyError>() {
        return Some(PayloadCode::SignatureInvalid.into());
    }
    match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::Answer(_)) => {
            return Some(ProblemCode::Unreachable);
        }
        Some(ClientError::Tls(_) | ClientError::Problem(_)) | None => {}
    }
    if let Some(ControlError::NotRunning(_)) = cause.downcast_ref() {
        return Some(ProblemCode::Unreachable);
    }
    is_input(cause).then_some(ProblemCode::Misuse)
}

/// Whether an error is about something that the caller wrote: a name, a number, a configuration, a
/// file that is not there.
fn is_input(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<ThresholdError>()
        || cause.is::<IdError>()
        || cause.is::<DerivationPathError>()
        || cause.is::<NetworkError>()
        || cause.is::<ConfigError>()
        || cause.is::<SourceError>()
        || cause.is::<EngineError>()
        || cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests;
