//! Codes: the stable names by which programs tell refusals, failures and problems apart.
//!
//! Each kind is an enum, so a misspelt code does not compile: [`PayloadCode`] (a payload that is
//! not signed), [`RefusalCode`] (an agent does not take part), [`FailureCode`] (a ceremony ended
//! without a result) and [`ProblemCode`] (the answer of the API). Each includes the one before it,
//! so every code has one meaning everywhere. On the wire a code is its kebab-case text, wrapped in
//! [`Code`]: one that only a newer program knows stays readable.
//!
//! `docs/errors.md` is made from these tables, and a test of the command line checks that it is.

mod failure;
mod payload;
mod problem;
mod refusal;
mod wire;

pub use failure::FailureCode;
pub use payload::PayloadCode;
pub use problem::ProblemCode;
pub use refusal::RefusalCode;
pub use wire::{Code, CodeError, UnknownCode};

/// Class of a code: whose move it is when a request has ended, or stands still, with that code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Nothing is wrong: approvals, or time, are still missing.
    Waiting,
    /// The policy, or the custodians' knowledge of who may ask, forbids it.
    Denied,
    /// The request cannot be acted on as it was made; whoever made it changes it.
    Caller,
    /// A custodian does not answer, or cannot take part now.
    PeerAbsent,
    /// A custodian, or the orchestrator, sent what an honest one does not send.
    PeerMisbehaved,
    /// The reporting machine itself: its disk, its clock, its token.
    LocalFault,
    /// A program contradicts itself. To be reported.
    Bug,
    /// A code that this program does not know; its text still says what it is.
    Unknown,
}

impl Class {
    /// Every class that a known code can have, in the order of the documentation.
    pub const KNOWN: [Self; 7] = [
        Self::Waiting,
        Self::Denied,
        Self::Caller,
        Self::PeerAbsent,
        Self::PeerMisbehaved,
        Self::LocalFault,
        Self::Bug,
    ];

    /// The class in words, as `docs/errors.md` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Denied => "denied",
            Self::Caller => "caller",
            Self::PeerAbsent => "peer absent",
            Self::PeerMisbehaved => "peer misbehaved",
            Self::LocalFault => "local fault",
            Self::Bug => "bug",
            Self::Unknown => "unknown",
        }
    }
}

/// Everything there is to know about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Stable text, kebab-case.
    pub name: &'static str,
    /// Class of the code.
    pub class: Class,
    /// Whether the same request, sent again in a moment, may be answered otherwise.
    pub transient: bool,
    /// Why a program answers with this code. One or more sentences, markdown.
    pub cause: &'static str,
    /// Advice: the next thing to do. One or more sentences, markdown.
    pub remedy: &'static str,
}

/// A kind of code: a closed set of stable names.
pub trait CodeSet: Copy + Ord + std::fmt::Debug + Send + Sync + 'static {
    /// Every code of the kind, those it includes from other kinds last.
    fn all() -> Vec<Self>;

    /// Everything that the tables say about the code.
    fn about(self) -> About;

    /// The stable text.
    fn as_str(self) -> &'static str {
        self.about().name
    }

    /// Class of the code.
    fn class(self) -> Class {
        self.about().class
    }

    /// Whether the same request, sent again in a moment, may be answered otherwise.
    fn is_transient(self) -> bool {
        self.about().transient
    }

    /// The code of this text, if the kind has one.
    fn find(text: &str) -> Option<Self> {
        Self::all().into_iter().find(|code| code.as_str() == text)
    }
}

/// Defines one kind of code. Each entry is `/// cause`, then `Name = "text", @ Class, "remedy";`,
/// or `Name = "text", transient @ Class, "remedy";`. The doc comment of an entry is its cause in
/// the documentation.
macro_rules! codes {
    (
        $(#[$meta:meta])*
        pub enum $kind:ident $(includes $inner:ident($inner_kind:ty))? {
            $(
                $(#[doc = $cause:literal])+
                $name:ident = $text:literal, $($flag:ident)? @ $class:ident, $remedy:literal;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind {
            $(
                $(#[doc = $cause])+
                $name,
            )+
            $(
                #[doc = concat!("A code of [`", stringify!($inner_kind), "`].")]
                $inner($inner_kind),
            )?
        }

        impl $crate::code::CodeSet for $kind {
            fn all() -> Vec<Self> {
                let own = [$(Self::$name),+].into_iter();
                $(let own = own.chain(<$inner_kind>::all().into_iter().map(Self::$inner));)?
                own.collect()
            }

            fn about(self) -> $crate::code::About {
                match self {
                    $(Self::$name => $crate::code::About {
                        name: $text,
                        class: $crate::code::Class::$class,
                        transient: codes!(@flag $($flag)?),
                        cause: concat!($($cause),+),
                        remedy: $remedy,
                    },)+
                    $(Self::$inner(code) => {
                        let _: $inner_kind = code;
                        code.about()
                    })?
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::code::CodeSet::as_str(*self))
            }
        }

        $(
            impl From<$inner_kind> for $kind {
                fn from(code: $inner_kind) -> Self {
                    Self::$inner(code)
                }
            }
        )?
    };
    (@flag transient) => { true };
    (@flag) => { false };
}
pub(crate) use codes;
