//! What of the command line is a library: passkeys at this machine's browser. The rest is the program's own.

pub mod passkey;
