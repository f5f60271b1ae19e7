//! Who may do what with a contract: owners, roles, implementations, governors.

use alloy_dyn_abi::DynSolValue as V;

use super::meaning::{Meaning, Target};
use crate::effects::Danger;

/// Functions that change it, of OpenZeppelin's access control and proxies, of DSAuth, Compound and the like.
pub(super) const SIGNATURES: &[&str] = &[
    "transferOwnership(address)",
    "transferOwnership(address,bool,bool)",
    "renounceOwnership()",
    "acceptOwnership()",
    "claimOwnership()",
    "setOwner(address)",
    "changeOwner(address)",
    "setPendingOwner(address)",
    "setAuthority(address)",
    "setAdmin(address)",
    "setPendingAdmin(address)",
    "_setPendingAdmin(address)",
    "acceptAdmin()",
    "_acceptAdmin()",
    "changeAdmin(address)",
    "changeProxyAdmin(address,address)",
    "setGovernance(address)",
    "setGovernor(address)",
    "setController(address)",
    "setImplementation(address)",
    "upgradeTo(address)",
    "upgrade(address,address)",
    "grantRole(bytes32,address)",
    "revokeRole(bytes32,address)",
    "renounceRole(bytes32,address)",
    "beginDefaultAdminTransfer(address)",
    "acceptDefaultAdminTransfer()",
    "setDelegate(address)",
    "upgradeToAndCall(address,bytes)",
    "upgradeAndCall(address,address,bytes)",
    "addMinter(address)",
    "configureMinter(address,uint256)",
    "updateMasterMinter(address)",
];

/// The arguments are shown; none of them makes it harmless. Code that an upgrade runs (`upgradeToAndCall`) runs with the rights of
/// the contract that is upgraded.
pub(super) fn change(_: &Target, values: &[V]) -> Option<Meaning> {
    let runs_code = values
        .iter()
        .any(|value| matches!(value, V::Bytes(data) if !data.is_empty()));
    Some(Meaning::danger(Danger::AuthorityChange).with_danger_if(runs_code, Danger::Delegatecall))
}
