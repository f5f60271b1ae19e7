//! The tar inside a backup.

use std::collections::BTreeMap;
use std::io::Read as _;

use quorate_types::Hash32;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};
use zeroize::Zeroizing;

use super::{
    About, BackupError, CONFIG, Content, EntryDigest, KINDS, MAX_ENTRIES, MAX_ENTRY, MAX_LEN,
    Manifest, Opened, POLICY, ROSTER, carries_record, signed_message,
};
use crate::ItemName;

const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
/// What tar adds to an entry at most: its header, a long name, padding.
const OVERHEAD: usize = 4 * 512;

/// Where an entry belongs.
enum Place {
    File,
    Record(String),
    Secret(ItemName),
}

fn content_error(reason: impl Into<String>) -> BackupError {
    BackupError::Content(reason.into())
}

/// The only names there are; so no entry can leave the directory it is restored into.
fn place(path: &str) -> Result<Place, BackupError> {
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let unknown = || content_error(format!("it has an unknown entry {path:?}"));
    if [CONFIG, ROSTER, POLICY].contains(&path) {
        return Ok(Place::File);
    }
    match path.split_once('/') {
        Some(("tls", file)) if plain(file) => Ok(Place::File),
        Some(("records", name)) if name.split('/').all(plain) => carries_record(name)
            .then(|| Place::Record(name.to_owned()))
            .ok_or_else(unknown),
        Some(("secrets", name)) => match name.parse::<ItemName>() {
            Ok(item) if KINDS.contains(&item.kind) && item.to_string() == name => {
                Ok(Place::Secret(item))
            }
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

fn sha256(bytes: &[u8]) -> Hash32 {
    Hash32::from_bytes(Sha256::digest(bytes).into())
}

/// Every entry but the manifest, in the archive's order.
fn entries(content: &Content) -> Vec<(String, &[u8])> {
    let files = content.files.iter().map(|(n, b)| (n.clone(), b.as_slice()));
    let records = content
        .records
        .iter()
        .map(|(n, b)| (format!("records/{n}"), b.as_slice()));
    let secrets = content
        .secrets
        .iter()
        .map(|(n, b)| (format!("secrets/{n}"), b.as_slice()));
    files.chain(records).chain(secrets).collect()
}

pub(super) fn write(
    about: &About,
    content: &Content,
    sign: impl FnOnce(&[u8]) -> Result<[u8; 64], BackupError>,
) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let entries = entries(content);
    for (path, bytes) in &entries {
        place(path)?;
        if bytes.len() > MAX_ENTRY {
            return Err(content_error(format!("{path} is too large")));
        }
    }
    if entries.len() >= MAX_ENTRIES {
        return Err(content_error("it has too many entries"));
    }
    let manifest = Manifest {
        format: Manifest::FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        party: about.party.clone(),
        made_at: about.made_at,
        restore_counter: about.restore_counter,
        needs: vec![crate::format::AUTHORITY.to_owned()],
        policy_version: Some(about.policy_version),
        keys: about.keys.clone(),
        entries: entries
            .iter()
            .map(|(path, bytes)| EntryDigest {
                path: path.clone(),
                sha256: sha256(bytes),
            })
            .collect(),
    };
    let manifest =
        serde_json::to_vec_pretty(&manifest).map_err(|e| content_error(e.to_string()))?;
    // The whole size beforehand: a buffer that grows would leave copies of secrets behind.
    let size = entries
        .iter()
        .map(|(_, bytes)| bytes.len() + OVERHEAD)
        .sum::<usize>()
        + manifest.len()
        + 4 * OVERHEAD;
    if size > MAX_LEN {
        return Err(BackupError::TooLarge);
    }
    let mut tar = Zeroizing::new(Vec::with_capacity(size));
    let mut builder = Builder::new(&mut *tar);
    let failed = |e: std::io::Error| content_error(e.to_string());
    append(&mut builder, MANIFEST, &manifest, about.made_at).map_err(failed)?;
    let signature = hex::encode(sign(&signed_message(sha256(&manifest)))?);
    let signature = signature.as_bytes();
    append(&mut builder, SIGNATURE, signature, about.made_at).map_err(failed)?;
    for (path, bytes) in entries {
        append(&mut builder, &path, bytes, about.made_at).map_err(failed)?;
    }
    builder.finish().map_err(failed)?;
    drop(builder);
    Ok(tar)
}

fn append(
    builder: &mut Builder<&mut Vec<u8>>,
    path: &str,
    bytes: &[u8],
    made_at: u64,
) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_mtime(made_at / 1000);
    header.set_size(bytes.len() as u64);
    builder.append_data(&mut header, path, bytes)
}

pub(super) fn read(tar: &[u8]) -> Result<Opened, BackupError> {
    let mut all = unpack(tar)?;
    let manifest = all
        .remove(MANIFEST)
        .ok_or_else(|| content_error("its manifest is missing"))?;
    let signed = sha256(&manifest);
    let signature = all
        .remove(SIGNATURE)
        .and_then(|text| hex::decode(&*text).ok()?.try_into().ok())
        .ok_or_else(|| content_error("its signature is missing"))?;
    let manifest = parse_manifest(&manifest)?;
    let mut content = Content::default();
    for EntryDigest { path, sha256: said } in &manifest.entries {
        let bytes = all
            .remove(path)
            .ok_or_else(|| content_error(format!("{path} is missing")))?;
        if sha256(&bytes) != *said {
            return Err(content_error(format!(
                "{path} is not what the manifest says"
            )));
        }
        match place(path)? {
            Place::File => {
                content.files.insert(path.clone(), bytes);
            }
            Place::Record(name) => {
                content.records.insert(name, bytes.to_vec());
            }
            Place::Secret(item) => {
                content.secrets.insert(item, bytes);
            }
        }
    }
    match all.into_keys().next() {
        None => Ok(Opened {
            manifest,
            content,
            signature,
            signed,
        }),
        Some(extra) => Err(content_error(format!("{extra:?} is not in its manifest"))),
    }
}

fn parse_manifest(json: &[u8]) -> Result<Manifest, BackupError> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
        #[serde(default)]
        needs: Vec<String>,
    }
    let bad = |e: serde_json::Error| content_error(format!("its manifest: {e}"));
    let Format { format, needs } = serde_json::from_slice(json).map_err(bad)?;
    if format != Manifest::FORMAT {
        return Err(content_error(format!(
            "it has format {format}; this program reads format {}",
            Manifest::FORMAT
        )));
    }
    let needs = needs.iter().map(String::as_str);
    crate::format::check(needs).map_err(|need| content_error(need.to_string()))?;
    serde_json::from_slice(json).map_err(bad)
}

/// Regular files only, each once, within the bounds.
fn unpack(tar: &[u8]) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, BackupError> {
    let failed = |e: std::io::Error| content_error(e.to_string());
    let mut all = BTreeMap::new();
    for entry in Archive::new(tar).entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.to_string_lossy().into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(content_error(format!("{path:?} is not a regular file")));
        }
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        if size > MAX_ENTRY || all.len() >= MAX_ENTRIES {
            return Err(content_error("it has too many or too large entries"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(size));
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if all.insert(path.clone(), bytes).is_some() {
            return Err(content_error(format!("{path:?} is in it twice")));
        }
    }
    Ok(all)
}
