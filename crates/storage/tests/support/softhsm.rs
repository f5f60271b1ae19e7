//! SoftHSM2: PKCS#11 tokens in software.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use quorate_storage::Pkcs11Key;

use super::passphrase;

/// The token most tests use.
pub const TOKEN: &str = "custodian";
/// Tokens that nobody stays logged in to: only there is a PIN looked at.
pub const SPARE: &str = "spare";
pub const PIN: &str = "493827";

/// SoftHSM's module, where the distribution's package puts it.
pub fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm.so",
        ]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("SoftHSM2 is not installed; run `make tools`")
    })
}

/// The tokens of this test process, made once: the module reads its configuration and finds its tokens only when it is loaded.
fn make_tokens() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = std::env::var_os("SOFTHSM2_CONF").expect(".cargo/config.toml sets SOFTHSM2_CONF");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    std::fs::create_dir_all(Path::new(&config).parent().unwrap()).unwrap();
    std::fs::write(config, text).unwrap();
    for label in [TOKEN, SPARE] {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", "12345678", "--pin", PIN])
            .output()
            .expect("softhsm2-util is not installed; run `make tools`");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    dir
}

/// Makes the tokens if need be. A token is one device: tests that use it take turns.
pub fn alone() -> MutexGuard<'static, ()> {
    static READY: OnceLock<tempfile::TempDir> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    READY.get_or_init(make_tokens);
    turn
}

/// A session with [`TOKEN`] past the library under test.
pub fn session() -> Session {
    let module = Pkcs11::new(module()).unwrap();
    // The library has initialised it, or does so later.
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = module.get_slots_with_initialized_token().unwrap();
    let ours = |slot: &_| module.get_token_info(*slot).unwrap().label() == TOKEN;
    let slot = slots.into_iter().find(ours).unwrap();
    let session = module.open_rw_session(slot).unwrap();
    // Logged in already is as good.
    let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
    session
}

/// A new key in [`TOKEN`].
pub fn key(label: &str) -> Pkcs11Key {
    Pkcs11Key::create(module(), TOKEN, &passphrase(PIN), label).unwrap()
}
