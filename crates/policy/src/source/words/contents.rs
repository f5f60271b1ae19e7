//! What a bundle has besides its rules: admins, people, keys, assets, addresses, settings. Every
//! field is named here: one more does not
//! compile until it is said.

use quorate_types::bundle::{Admin, Admins};
use quorate_types::{
    Asset, BookEntry, Bundle, ChainRules, Counter, Credential, FeeBound, KeyGroup, Measure,
    Passkey, PasskeyKey, Person, RelyingParty,
};

use super::super::coin_decimals;
use crate::units::show_digits;

use super::super::document::Span;
use super::text::{count, either, every, quoted, value};
use super::{
    ADDRESS, ADMIN, ASSET, COUNTER, KEY_GROUP, LIFT, PERSON, SEPARATION, SETTING, Statement,
};

pub(super) fn statements(bundle: &Bundle) -> Vec<Statement> {
    let Bundle {
        // Where the bundle stands in its chain, which changes with every version.
        cluster: _,
        version: _,
        previous: _,
        issued_at: _,
        admins,
        people,
        relying_party,
        key_groups,
        assets,
        book,
        book_delay_ms,
        // Said with the rules that are about them.
        counters: _,
        limit_ack,
        separations,
        rules: _,
        lifts,
        chains,
        // For people; whether the rules are what it comes to is checked.
        source: _,
    } = bundle;
    let mut all = admins_statements(admins);
    all.extend(people.iter().map(person));
    all.extend(key_groups.iter().map(key_group));
    all.extend(assets.iter().map(asset));
    all.extend(book.iter().map(address));
    let delay = Span::of_ms(*book_delay_ms);
    let delay = format!("a new address counts {delay} after a custodian brought it into force");
    all.push(Statement::new(SETTING, "address_delay", delay));
    let acknowledge = match limit_ack {
        Some(needed) => format!(
            "{} must record a spend that a rolling limit counts",
            count(*needed, "custodian", "custodians")
        ),
        None => "the custodians that sign record a spend that a rolling limit counts".to_owned(),
    };
    all.push(Statement::new(SETTING, "limit_ack", acknowledge));
    all.push(Statement::new(
        SETTING,
        "passkeys",
        passkeys(relying_party.as_ref()),
    ));
    all.extend(chain_rules(chains));
    all.extend(separations.iter().map(|groups| {
        let text = "nobody is in two of them, and who asks from one of them is not approved by it";
        Statement::new(SEPARATION, every(groups), text)
    }));
    let lifted = "is lifted by this version";
    all.extend(
        lifts
            .iter()
            .map(|order| Statement::new(LIFT, order.to_string(), lifted)),
    );
    all
}

/// What the signed bytes of chains leave open.
fn chain_rules(chains: &ChainRules) -> Vec<Statement> {
    let ChainRules {
        bitcoin,
        change,
        fees,
    } = chains;
    let network = format!("Bitcoin transactions are signed for {bitcoin} alone");
    let change = match change.as_slice() {
        [] => "only what goes back to the address that is spent from has not left".to_owned(),
        branches => format!(
            "what goes to Bitcoin addresses of the same key below {} has not left",
            either(branches)
        ),
    };
    let mut all = vec![
        Statement::new(SETTING, "bitcoin network", network),
        Statement::new(SETTING, "bitcoin change", change),
    ];
    all.extend(fees.iter().map(fee_bound));
    all
}

fn fee_bound(bound: &FeeBound) -> Statement {
    let FeeBound {
        network,
        most,
        percent,
        free,
    } = bound;
    let coins = |amount: &u128| show_digits(*amount, coin_decimals(*network));
    let text = format!(
        "a fee is excessive above {} whole coins, or above {} and {percent} % of the coins that are moved",
        coins(most),
        coins(free)
    );
    Statement::new(SETTING, format!("fee_bound {network}"), text)
}

fn admins_statements(admins: &Admins) -> Vec<Statement> {
    let Admins { quorum, members } = admins;
    let text = format!("{quorum} of {} sign the next version", members.len());
    let mut all = vec![Statement::new(SETTING, "admins", text)];
    all.extend(members.iter().map(|Admin { id, key }| {
        Statement::new(
            ADMIN,
            id.as_str(),
            format!("signs with {}", hex::encode(key)),
        )
    }));
    all
}

fn person(person: &Person) -> Statement {
    let Person {
        id,
        groups,
        roles,
        guardian,
        credentials,
    } = person;
    let mut parts = Vec::new();
    if !groups.is_empty() {
        parts.push(format!("is of group {}", every(groups)));
    }
    if !roles.is_empty() {
        parts.push(format!("has the role {}", every(roles)));
    }
    if *guardian {
        parts.push("is a guardian: may freeze everything alone".to_owned());
    }
    let mut keys: Vec<String> = credentials.iter().map(credential).collect();
    keys.sort();
    parts.push(match keys.as_slice() {
        [] => "has no key of its own".to_owned(),
        keys => format!("signs with {}", keys.join(" or ")),
    });
    Statement::new(PERSON, id.as_str(), parts.join("; "))
}

fn credential(credential: &Credential) -> String {
    match credential {
        Credential::Ed25519 { key } => format!("key {}", hex::encode(key)),
        Credential::Passkey(Passkey { credential_id, key }) => {
            let (kind, key) = match key {
                PasskeyKey::Es256 { key } => ("es256", hex::encode(key)),
                PasskeyKey::EdDsa { key } => ("eddsa", hex::encode(key)),
            };
            format!("passkey {} ({kind} {key})", hex::encode(credential_id))
        }
    }
}

fn key_group(group: &KeyGroup) -> Statement {
    let KeyGroup { name, keys } = group;
    Statement::new(KEY_GROUP, name.as_str(), format!("is {}", every(keys)))
}

fn asset(asset: &Asset) -> Statement {
    let Asset {
        id,
        network,
        contract,
        decimals,
        precision,
    } = asset;
    let what = match contract {
        None => "the coin".to_owned(),
        Some(contract) => format!("token {}", value(contract)),
    };
    let text = format!(
        "is {what} of {network} with {}; rules count it with {precision} of them, rounded up",
        count(*decimals, "decimal", "decimals")
    );
    Statement::new(ASSET, value(id), text)
}

fn address(entry: &BookEntry) -> Statement {
    let BookEntry {
        network,
        address,
        label,
    } = entry;
    let text = format!("is in the address book as {}", quoted(label));
    Statement::new(ADDRESS, format!("{network} {}", value(address)), text)
}

fn passkeys(party: Option<&RelyingParty>) -> String {
    match party {
        None => "are not used".to_owned(),
        Some(RelyingParty { id, origins }) => {
            format!("are those of {}, used at {}", value(id), either(origins))
        }
    }
}

/// A counter that is not said by a rule of the text.
pub(super) fn counter(counter: &Counter) -> Statement {
    let Counter {
        id,
        measure,
        window_ms,
        keys,
        destinations,
        per_key,
        per_destination,
    } = counter;
    let what = match measure {
        Measure::Amount { asset } => value(asset),
        Measure::Count => "requests".to_owned(),
    };
    let list = |what: &str, items: String, all: bool| match all {
        true => format!("every {what}"),
        false => format!("{what} {items}"),
    };
    let each = |what: &str, by_itself: bool| match by_itself {
        true => format!(", each {what} by itself"),
        false => String::new(),
    };
    let text = format!(
        "counts {what} in {} of {} to {}{}{}",
        Span::of_ms(*window_ms),
        list("key", every(keys), keys.is_empty()),
        list("destination", every(destinations), destinations.is_empty()),
        each("key", *per_key),
        each("destination", *per_destination),
    );
    Statement::new(COUNTER, id.as_str(), text)
}
