//! Conditions over what was seen: CEL programs, parsed once, answering true, false or unknown.
//!
//! Invariant: missing data never hold a condition. A missing key, a null operand, an error while evaluating: unknown.
//! Read next: `scope.rs` (what a condition sees), `functions.rs` (what it can call).

mod functions;
mod programs;
mod scope;
mod shared;
mod uses;
mod values;

pub(crate) use functions::known_functions;
pub use programs::Programs;
pub use scope::Scope;
pub(crate) use uses::{CLUSTER_FIELDS, Env, NODE_FIELDS, Owner, Uses};

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It was looked at and does not hold.
    False,
    /// It could not be looked at.
    Unknown {
        /// What is missing, in a clause.
        what: String,
    },
}

impl Truth {
    /// Whether it was seen to hold.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }
    /// Whether it was seen not to hold.
    pub fn is_false(&self) -> bool {
        matches!(self, Self::False)
    }
    /// Whether it could not be looked at.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}
