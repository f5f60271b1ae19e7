//! party-agent
