//! What an authenticator and a browser return: nothing unsigned verifies, and nothing makes the parsers fail in another way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_policy::webauthn::{register, verify, verify_among};
use quorate_types::{Assertion, Passkey, PasskeyKey, RelyingParty};

fuzz_target!(|input: (Vec<u8>, Vec<u8>, String, Vec<u8>)| {
    let (credential_id, authenticator_data, client_data_json, signature) = input;
    let party = RelyingParty {
        id: "localhost".to_owned(),
        origins: vec!["http://localhost:8080".to_owned()],
    };
    let challenge = [7; 32];
    let _ = register(&authenticator_data, &client_data_json, &challenge, &party);
    let assertion = Assertion {
        credential_id: credential_id.clone(),
        authenticator_data,
        client_data_json,
        signature,
    };
    // The base points of both curves: keys whose secret is 1, which no input is signed with.
    let es256 = [
        0x03, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4,
        0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8,
        0x98, 0xc2, 0x96,
    ];
    let mut eddsa = [0x66; 32];
    eddsa[0] = 0x58;
    for key in [
        PasskeyKey::Es256 { key: es256 },
        PasskeyKey::EdDsa { key: eddsa },
    ] {
        assert!(verify(&assertion, &challenge, &key, &party).is_err());
        let passkeys = [Passkey {
            credential_id: credential_id.clone(),
            key,
        }];
        assert!(verify_among(&assertion, &challenge, &passkeys, &party).is_err());
    }
});
