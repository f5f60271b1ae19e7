//! mpc-protocol
