//! The declared types, and whether a value has exactly the declared fields.

use std::collections::{BTreeMap, BTreeSet};

use alloy_dyn_abi::{DynSolType, Specifier as _, parser::RootType};
use serde::Deserialize;
use serde_json::Value;

use super::{DOMAIN, TypedDataError};

/// Bounds on what the library has to expand: it copies a struct wherever it is used.
const MAX_TYPES: usize = 32;
const MAX_FIELDS: usize = 256;
const MAX_NAME_LEN: usize = 128;
const MAX_ARRAY_DEPTH: usize = 4;
const MAX_EXPANDED_FIELDS: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
}

/// `types` of an EIP-712 document.
pub(super) struct Schema(BTreeMap<String, Vec<Field>>);

impl Schema {
    pub(super) fn parse(types: &Value) -> Result<Self, TypedDataError> {
        let types: BTreeMap<String, Vec<Field>> = Deserialize::deserialize(types)
            .map_err(|e: serde_json::Error| TypedDataError::Json(format!("types: {e}")))?;
        let fields: usize = types.values().map(Vec::len).sum();
        if types.len() > MAX_TYPES || fields > MAX_FIELDS {
            return Err(TypedDataError::Type(format!(
                "more than {MAX_TYPES} types or {MAX_FIELDS} fields"
            )));
        }
        if !types.contains_key(DOMAIN) {
            return Err(TypedDataError::MissingField(format!("types.{DOMAIN}")));
        }
        let schema = Self(types);
        schema.check_names()?;
        Ok(schema)
    }

    fn check_names(&self) -> Result<(), TypedDataError> {
        for (name, fields) in &self.0 {
            if !is_identifier(name) || elementary(name).is_some() {
                return Err(TypedDataError::Type(format!(
                    "{name:?} cannot name a struct"
                )));
            }
            let mut seen = BTreeSet::new();
            for field in fields {
                if !is_identifier(&field.name) || !seen.insert(&field.name) {
                    return Err(TypedDataError::Type(format!(
                        "{name} has an unusable or repeated field name {:?}",
                        field.name
                    )));
                }
                self.check_type(&field.type_name)?;
            }
        }
        Ok(())
    }

    fn check_type(&self, type_name: &str) -> Result<(), TypedDataError> {
        let (root, suffix) = split(type_name);
        let dimensions = suffix.matches('[').count();
        let known = self.0.contains_key(root) || elementary(root).is_some();
        if type_name.len() > MAX_NAME_LEN
            || dimensions > MAX_ARRAY_DEPTH
            || !is_identifier(root)
            || !known
        {
            return Err(TypedDataError::Type(format!(
                "{:?} is neither declared nor an elementary type",
                type_name.chars().take(MAX_NAME_LEN).collect::<String>()
            )));
        }
        Ok(())
    }

    /// No recursion, a bounded size when written out, and no type that nothing uses.
    pub(super) fn check_graph(&self, primary: &str) -> Result<(), TypedDataError> {
        let mut used = BTreeSet::new();
        for root in [primary, DOMAIN] {
            let size = self.expand(root, &mut Vec::new(), &mut used)?;
            if size > MAX_EXPANDED_FIELDS {
                return Err(TypedDataError::Type(format!(
                    "{root} has more than {MAX_EXPANDED_FIELDS} fields when written out"
                )));
            }
        }
        match self.0.keys().find(|name| !used.contains(name.as_str())) {
            Some(unused) => Err(TypedDataError::UnusedType(unused.clone())),
            None => Ok(()),
        }
    }

    fn expand<'a>(
        &'a self,
        name: &'a str,
        stack: &mut Vec<&'a str>,
        used: &mut BTreeSet<&'a str>,
    ) -> Result<usize, TypedDataError> {
        let Some((name, fields)) = self.0.get_key_value(name) else {
            return if elementary(name).is_some() && !stack.is_empty() {
                Ok(1)
            } else {
                Err(TypedDataError::Type(format!("{name:?} is not declared")))
            };
        };
        if stack.contains(&name.as_str()) {
            return Err(TypedDataError::Type(format!("{name} contains itself")));
        }
        used.insert(name);
        stack.push(name);
        let mut size = 1usize;
        for field in fields {
            size = size.saturating_add(self.expand(split(&field.type_name).0, stack, used)?);
            if size > MAX_EXPANDED_FIELDS {
                break;
            }
        }
        stack.pop();
        Ok(size)
    }

    /// An object with exactly the declared fields, at every depth.
    pub(super) fn check_struct(
        &self,
        name: &str,
        value: &Value,
        path: &str,
    ) -> Result<(), TypedDataError> {
        let fields = self
            .0
            .get(name)
            .ok_or_else(|| TypedDataError::Type(format!("{name:?} is not declared")))?;
        let object = value
            .as_object()
            .ok_or_else(|| TypedDataError::Value(format!("{path} must be an object")))?;
        if let Some(extra) = object
            .keys()
            .find(|key| !fields.iter().any(|field| field.name == **key))
        {
            return Err(TypedDataError::UnknownField(format!("{path}.{extra}")));
        }
        for field in fields {
            let path = format!("{path}.{}", field.name);
            let value = object
                .get(&field.name)
                .ok_or_else(|| TypedDataError::MissingField(path.clone()))?;
            self.check_value(&field.type_name, value, &path)?;
        }
        Ok(())
    }

    fn check_value(
        &self,
        type_name: &str,
        value: &Value,
        path: &str,
    ) -> Result<(), TypedDataError> {
        if let Some((element, _)) = type_name.rsplit_once('[') {
            let items = value
                .as_array()
                .ok_or_else(|| TypedDataError::Value(format!("{path} must be an array")))?;
            return items.iter().enumerate().try_for_each(|(i, item)| {
                self.check_value(element, item, &format!("{path}[{i}]"))
            });
        }
        if self.0.contains_key(type_name) {
            return self.check_struct(type_name, value, path);
        }
        let fits = elementary(type_name).is_some_and(|t| form_is_plain(&t, value));
        if fits {
            Ok(())
        } else {
            Err(TypedDataError::Value(format!(
                "{path} is not written as a {type_name}"
            )))
        }
    }
}

/// The one or two usual spellings of a value; the library takes more (`"true"`, arrays of bytes, `0b` integers).
fn form_is_plain(solidity_type: &DynSolType, value: &Value) -> bool {
    let text = value.as_str();
    match solidity_type {
        DynSolType::Bool => value.is_boolean(),
        DynSolType::String => text.is_some(),
        DynSolType::Address => {
            text.is_some_and(|t| super::super::json::checked_address(t).is_some())
        }
        DynSolType::Uint(_) => value.is_u64() || text.is_some_and(plain_unsigned),
        DynSolType::Int(_) => {
            value.is_u64()
                || value.is_i64()
                || text.is_some_and(|t| plain_unsigned(t.strip_prefix('-').unwrap_or(t)))
        }
        _ => text.is_some_and(|t| t.starts_with("0x")),
    }
}

fn plain_unsigned(text: &str) -> bool {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |d| (d, 16));
    !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
}

fn elementary(name: &str) -> Option<DynSolType> {
    RootType::parse_eip712(name).ok()?.resolve().ok()
}

fn is_identifier(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$');
    starts_well
        && name.len() <= MAX_NAME_LEN
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

/// Root type and array suffix.
fn split(type_name: &str) -> (&str, &str) {
    type_name
        .find('[')
        .map_or((type_name, ""), |at| type_name.split_at(at))
}
