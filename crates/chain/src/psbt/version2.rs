//! PSBT version 2 (BIP-370): the transaction is spread over the maps. Read into the version 0 form, which has it whole, and written again
//! from there.

use std::collections::BTreeMap;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, VarInt, Witness,
};

use super::PsbtError;
use super::maps::{self, Map, MapReader, Pair, malformed};
use crate::ChainError;
use crate::error::same_bytes;

/// `PSBT_GLOBAL_UNSIGNED_TX`, which version 2 does not have.
const UNSIGNED_TX: u8 = 0x00;

mod global {
    pub(super) const TX_VERSION: u8 = 0x02;
    pub(super) const FALLBACK_LOCKTIME: u8 = 0x03;
    pub(super) const INPUT_COUNT: u8 = 0x04;
    pub(super) const OUTPUT_COUNT: u8 = 0x05;
    pub(super) const TX_MODIFIABLE: u8 = 0x06;
    pub(super) const ALL: [u8; 6] = [
        TX_VERSION,
        FALLBACK_LOCKTIME,
        INPUT_COUNT,
        OUTPUT_COUNT,
        TX_MODIFIABLE,
        super::maps::VERSION,
    ];
}

mod input {
    pub(super) const PREVIOUS_TXID: u8 = 0x0e;
    pub(super) const OUTPUT_INDEX: u8 = 0x0f;
    pub(super) const SEQUENCE: u8 = 0x10;
    pub(super) const REQUIRED_TIME: u8 = 0x11;
    pub(super) const REQUIRED_HEIGHT: u8 = 0x12;
    pub(super) const ALL: [u8; 5] = [
        PREVIOUS_TXID,
        OUTPUT_INDEX,
        SEQUENCE,
        REQUIRED_TIME,
        REQUIRED_HEIGHT,
    ];
}

mod output {
    pub(super) const AMOUNT: u8 = 0x03;
    pub(super) const SCRIPT: u8 = 0x04;
    pub(super) const ALL: [u8; 2] = [AMOUNT, SCRIPT];
}

/// Lock times below are heights, from here on Unix seconds.
const FIRST_TIME: u32 = 500_000_000;

/// What version 2 says in place of the unsigned transaction.
struct Fields {
    tx_version: i32,
    fallback: Option<u32>,
    modifiable: Option<u8>,
    inputs: Vec<InputFields>,
    outputs: Vec<OutputFields>,
}

struct InputFields {
    txid: [u8; 32],
    vout: u32,
    sequence: Option<u32>,
    time: Option<u32>,
    height: Option<u32>,
}

struct OutputFields {
    amount: u64,
    script: Vec<u8>,
}

/// All maps, as they were written.
struct Maps {
    global: Map,
    inputs: Vec<Map>,
    outputs: Vec<Map>,
}

/// Reads version 2 into version 0, and checks that writing it again gives the same bytes (I2).
pub(super) fn deserialize_version2(bytes: &[u8]) -> Result<Psbt, ChainError> {
    let maps = Maps::read(bytes)?;
    let fields = Fields::read(&maps)?;
    fields.check()?;
    let psbt = Psbt::deserialize(&maps.version0(&fields.transaction()?))
        .map_err(|e| PsbtError::Malformed(e.to_string()))?;
    let again = maps.write_again(&fields, &psbt)?;
    same_bytes("PSBT", bytes, &again)?;
    Ok(psbt)
}

impl Maps {
    fn read(bytes: &[u8]) -> Result<Self, PsbtError> {
        let mut reader = MapReader::new(bytes)?;
        let global = reader.next_map()?;
        let count = |key_type, what: &str| {
            let value = global.value(key_type);
            let count = value.and_then(|v| deserialize::<VarInt>(v).ok());
            count.ok_or_else(|| malformed(&format!("version 2 needs {what}")))
        };
        let inputs = count(global::INPUT_COUNT, "an input count")?;
        let outputs = count(global::OUTPUT_COUNT, "an output count")?;
        let mut maps = |count: VarInt| -> Result<Vec<Map>, PsbtError> {
            (0..count.0).map(|_| reader.next_map()).collect()
        };
        let (inputs, outputs) = (maps(inputs)?, maps(outputs)?);
        Ok(Self {
            global,
            inputs,
            outputs,
        })
    }

    /// The same maps without the fields of version 2, with the transaction.
    fn version0(&self, transaction: &Transaction) -> Vec<u8> {
        let mut global = without(&self.global, &global::ALL);
        global.0.insert(
            0,
            Pair {
                key: vec![UNSIGNED_TX],
                value: serialize(transaction),
            },
        );
        let mut out = maps::begin();
        global.write(&mut out);
        for map in &self.inputs {
            without(map, &input::ALL).write(&mut out);
        }
        for map in &self.outputs {
            without(map, &output::ALL).write(&mut out);
        }
        out
    }

    /// Every field from what was understood of it, in the order it was read.
    fn write_again(&self, fields: &Fields, psbt: &Psbt) -> Result<Vec<u8>, ChainError> {
        let bytes = psbt.serialize();
        let mut reader = MapReader::new(&bytes)?;
        let mut out = maps::begin();
        let global = without(&reader.next_map()?, &[UNSIGNED_TX]);
        write_map(&self.global, global, fields.global_pairs(), &mut out)?;
        for (map, own) in self.inputs.iter().zip(&fields.inputs) {
            write_map(map, reader.next_map()?, own.pairs(), &mut out)?;
        }
        for (map, own) in self.outputs.iter().zip(&fields.outputs) {
            write_map(map, reader.next_map()?, own.pairs(), &mut out)?;
        }
        Ok(out)
    }
}

fn without(map: &Map, types: &[u8]) -> Map {
    let keeps = |pair: &&Pair| !types.iter().any(|t| pair.key == [*t]);
    Map(map.0.iter().filter(keeps).cloned().collect())
}

/// The understood pairs in the order of the map as it was read; both must have the same keys.
fn write_map(
    as_read: &Map,
    version0: Map,
    version2: Vec<Pair>,
    out: &mut Vec<u8>,
) -> Result<(), ChainError> {
    let understood = version0.0.into_iter().chain(version2);
    let mut understood: BTreeMap<_, _> = understood.map(|pair| (pair.key, pair.value)).collect();
    let pairs = as_read.0.iter().map(|pair| {
        let value = understood.remove(&pair.key)?;
        Some(Pair {
            key: pair.key.clone(),
            value,
        })
    });
    let again: Option<Vec<Pair>> = pairs.collect();
    let again = again.filter(|_| understood.is_empty());
    let again = again.ok_or(ChainError::NotCanonical { what: "PSBT" })?;
    Map(again).write(out);
    Ok(())
}

impl Fields {
    fn read(maps: &Maps) -> Result<Self, PsbtError> {
        if maps.global.value(UNSIGNED_TX).is_some() {
            return Err(malformed("version 2 has no unsigned transaction"));
        }
        let place = "the PSBT";
        let optional = |key_type| optional(&maps.global, key_type, place);
        Ok(Self {
            tx_version: i32::from_le_bytes(required(&maps.global, global::TX_VERSION, place)?),
            fallback: optional(global::FALLBACK_LOCKTIME)?.map(u32::from_le_bytes),
            modifiable: self::optional(&maps.global, global::TX_MODIFIABLE, place)?
                .map(|[flags]| flags),
            inputs: maps
                .inputs
                .iter()
                .enumerate()
                .map(|(index, map)| InputFields::read(map, &format!("input {index}")))
                .collect::<Result<_, _>>()?,
            outputs: maps
                .outputs
                .iter()
                .enumerate()
                .map(|(index, map)| OutputFields::read(map, &format!("output {index}")))
                .collect::<Result<_, _>>()?,
        })
    }

    fn check(&self) -> Result<(), PsbtError> {
        if self.inputs.is_empty() {
            return Err(PsbtError::Empty("inputs"));
        }
        if self.tx_version < 2 {
            return Err(malformed(
                "version 2 needs a transaction version of 2 at least",
            ));
        }
        if self.modifiable.is_some_and(|flags| flags != 0) {
            return Err(PsbtError::Modifiable);
        }
        for (input, fields) in self.inputs.iter().enumerate() {
            let height = fields.height.is_none_or(|h| (1..FIRST_TIME).contains(&h));
            let time = fields.time.is_none_or(|t| t >= FIRST_TIME);
            if !height || !time {
                return Err(PsbtError::RequiredLockTime { input });
            }
        }
        Ok(())
    }

    /// BIP-370, "Determining Lock Time": the kind that every input with a requirement can have, heights if both; the highest of it.
    fn lock_time(&self) -> Result<u32, PsbtError> {
        let asking = || {
            let inputs = self.inputs.iter();
            inputs.filter(|i| i.height.is_some() || i.time.is_some())
        };
        let highest = |of: fn(&InputFields) -> Option<u32>| {
            asking()
                .map(of)
                .collect::<Option<Vec<u32>>>()
                .map(|all| all.into_iter().max())
        };
        if asking().next().is_none() {
            return Ok(self.fallback.unwrap_or_default());
        }
        highest(|i| i.height)
            .or_else(|| highest(|i| i.time))
            .flatten()
            .ok_or(PsbtError::LockTimeConflict)
    }

    fn transaction(&self) -> Result<Transaction, PsbtError> {
        let inputs = self.inputs.iter().map(|fields| TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array(fields.txid), fields.vout),
            script_sig: ScriptBuf::new(),
            sequence: fields.sequence.map_or(Sequence::MAX, Sequence),
            witness: Witness::new(),
        });
        let outputs = self.outputs.iter().map(|fields| TxOut {
            value: Amount::from_sat(fields.amount),
            script_pubkey: ScriptBuf::from_bytes(fields.script.clone()),
        });
        Ok(Transaction {
            version: Version(self.tx_version),
            lock_time: LockTime::from_consensus(self.lock_time()?),
            input: inputs.collect(),
            output: outputs.collect(),
        })
    }

    fn global_pairs(&self) -> Vec<Pair> {
        let count = |len: usize| Some(serialize(&VarInt::from(len)));
        pairs([
            (
                global::TX_VERSION,
                Some(self.tx_version.to_le_bytes().to_vec()),
            ),
            (global::FALLBACK_LOCKTIME, self.fallback.map(le)),
            (global::INPUT_COUNT, count(self.inputs.len())),
            (global::OUTPUT_COUNT, count(self.outputs.len())),
            (global::TX_MODIFIABLE, self.modifiable.map(|f| vec![f])),
            (maps::VERSION, Some(le(2))),
        ])
    }
}

impl InputFields {
    fn read(map: &Map, place: &str) -> Result<Self, PsbtError> {
        let number = |key_type| -> Result<Option<u32>, PsbtError> {
            Ok(optional(map, key_type, place)?.map(u32::from_le_bytes))
        };
        Ok(Self {
            txid: required(map, input::PREVIOUS_TXID, place)?,
            vout: u32::from_le_bytes(required(map, input::OUTPUT_INDEX, place)?),
            sequence: number(input::SEQUENCE)?,
            time: number(input::REQUIRED_TIME)?,
            height: number(input::REQUIRED_HEIGHT)?,
        })
    }

    fn pairs(&self) -> Vec<Pair> {
        pairs([
            (input::PREVIOUS_TXID, Some(self.txid.to_vec())),
            (input::OUTPUT_INDEX, Some(le(self.vout))),
            (input::SEQUENCE, self.sequence.map(le)),
            (input::REQUIRED_TIME, self.time.map(le)),
            (input::REQUIRED_HEIGHT, self.height.map(le)),
        ])
    }
}

impl OutputFields {
    fn read(map: &Map, place: &str) -> Result<Self, PsbtError> {
        let script = map.value(output::SCRIPT);
        let script = script.ok_or_else(|| missing(output::SCRIPT, place))?;
        Ok(Self {
            amount: u64::from_le_bytes(required(map, output::AMOUNT, place)?),
            script: script.to_vec(),
        })
    }

    fn pairs(&self) -> Vec<Pair> {
        pairs([
            (output::AMOUNT, Some(self.amount.to_le_bytes().to_vec())),
            (output::SCRIPT, Some(self.script.clone())),
        ])
    }
}

fn pairs<const N: usize>(fields: [(u8, Option<Vec<u8>>); N]) -> Vec<Pair> {
    let present = fields.into_iter().filter_map(|(key_type, value)| {
        Some(Pair {
            key: vec![key_type],
            value: value?,
        })
    });
    present.collect()
}

fn le(number: u32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn optional<const N: usize>(
    map: &Map,
    key_type: u8,
    place: &str,
) -> Result<Option<[u8; N]>, PsbtError> {
    let Some(value) = map.value(key_type) else {
        return Ok(None);
    };
    value.try_into().map(Some).map_err(|_| {
        malformed(&format!(
            "{place}: field {key_type:#04x} has {} bytes, not {N}",
            value.len()
        ))
    })
}

fn required<const N: usize>(map: &Map, key_type: u8, place: &str) -> Result<[u8; N], PsbtError> {
    optional(map, key_type, place)?.ok_or_else(|| missing(key_type, place))
}

fn missing(key_type: u8, place: &str) -> PsbtError {
    malformed(&format!("{place} lacks field {key_type:#04x}"))
}
