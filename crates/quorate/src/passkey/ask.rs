//! What the page is told to do.

use serde::Serialize;

/// Bytes are hexadecimal.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Ask {
    /// Make a credential.
    Register {
        rp_id: String,
        #[serde(with = "hex::serde")]
        challenge: [u8; 32],
        /// New every time, so that an authenticator keeps an older credential of the same name.
        #[serde(with = "hex::serde")]
        user_id: [u8; 16],
        name: String,
    },
    /// Sign the challenge with one of the credentials.
    Approve {
        rp_id: String,
        #[serde(with = "hex::serde")]
        challenge: [u8; 32],
        cluster: String,
        lines: Vec<String>,
        credentials: Vec<String>,
    },
}
