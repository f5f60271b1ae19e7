//! `quorate passkey register`.

use quorate::passkey::{self, LIMIT};
use quorate_types::{Passkey, RelyingParty};

use crate::args::PasskeyRegisterArgs;
use crate::exit::misuse;
use crate::output;

/// Registers a passkey and prints it as the policy file has it.
pub async fn register(args: &PasskeyRegisterArgs, json: bool) -> anyhow::Result<()> {
    if let Some(out) = args.out.as_deref().filter(|out| out.exists()) {
        misuse!("{} exists already and is not overwritten", out.display());
    }
    let party = RelyingParty {
        id: args.rp_id.clone(),
        origins: vec![format!("http://localhost:{}", args.port)],
    };
    let page = passkey::registration(&party, &args.name).await?;
    eprintln!("register the passkey at {}", page.url());
    let registered = page.answer(LIMIT).await?;
    let text = if json {
        serde_json::to_string_pretty(&registered)?
    } else {
        policy_line(&registered)?
    };
    match &args.out {
        None => println!("{text}"),
        Some(out) => {
            output::new_file(out, format!("{text}\n").as_bytes())?;
            eprintln!("written to {}", out.display());
        }
    }
    Ok(())
}

/// An approver's list with this one passkey, in TOML on one line.
fn policy_line(passkey: &Passkey) -> anyhow::Result<String> {
    Ok(format!("passkeys = [{}]", toml::Value::try_from(passkey)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_types::PasskeyKey;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Approver {
        passkeys: Vec<Passkey>,
    }

    #[test]
    fn the_line_reads_back_as_the_passkey() {
        for key in [
            PasskeyKey::Es256 { key: [2; 33] },
            PasskeyKey::EdDsa { key: [3; 32] },
        ] {
            let passkey = Passkey {
                credential_id: vec![0, 255],
                key,
            };
            let line = policy_line(&passkey).unwrap();
            assert_eq!(line.lines().count(), 1, "{line}");
            let read: Approver = toml::from_str(&line).unwrap();
            assert_eq!(read.passkeys, [passkey]);
        }
    }
}
