//! The hands that touch the real world: looks through observers, acts through hosts.

mod act;
mod call;
mod done;
mod files;
mod live;
mod looks;
mod member;
mod natives;

pub(crate) use act::BackupRecord;
pub use live::{LiveHands, LiveParts};
