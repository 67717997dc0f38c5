//! What commands call: each a whole act of an operator, from its words to its answer.

pub mod adopt;
pub mod artifacts;
pub mod backup;
pub mod calendar;
mod client;
mod contents;
pub mod exec;
pub mod lab;
pub mod membership;
pub(crate) mod on_hosts;
pub mod plan;
pub mod recover;
pub mod release;
pub mod rollback;
pub mod run;
pub mod see;
