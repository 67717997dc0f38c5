//! The actions that are written in Rust, by name: what a pack may ask for that data cannot say.
//!
//! Invariant: a name stands here if and only if the program has the action. The runner's own tests compare both, so that no
//! plan begins that would find in its middle that nobody knows what to do.

/// Every action that this program has.
pub const NATIVES: &[&str] = &[
    "etcd.save-snapshot",
    "etcd.verify-snapshot",
    "etcd.verify-v2-backup",
    "etcd.verify-restored-v2",
    "etcd.restore-v2-backup",
    "etcd.join-restored",
    "etcd.list-contents",
    "etcd.no-v3-key",
    "etcd.v2-settled",
    "etcd.convert-v2",
    "etcd.verify-converted",
    "etcd.compare-converted",
    "etcd.save-since",
    "etcd.write-back",
    "consul.save-snapshot",
    "consul.verify-snapshot",
    "debian.hold-back",
    "debian.let-go",
];

/// Whether this program has the action.
pub fn is_native(action: &str) -> bool {
    NATIVES.contains(&action)
}
