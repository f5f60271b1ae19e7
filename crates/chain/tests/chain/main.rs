//! The chain crate from the outside: published vectors, refusals, round trips, and other implementations as judges.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod assembly;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod combinations;
#[cfg(test)]
mod common;
#[cfg(test)]
mod consensus;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod derivation;
#[cfg(test)]
mod evm;
#[cfg(test)]
mod evm_calls;
#[cfg(test)]
mod evm_json;
#[cfg(test)]
mod evm_types;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod psbt;
#[cfg(test)]
mod psbt_change;
#[cfg(test)]
mod psbt_version2;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod solana;
#[cfg(test)]
mod solana_programs;
#[cfg(test)]
mod typed_data;
#[cfg(test)]
mod typed_effects;
#[cfg(test)]
mod verification;
