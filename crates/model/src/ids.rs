//! Names and numbers that identify things, each its own type so that two cannot be swapped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $type(pub String);

        impl $type {
            /// Makes the name from any text; the rooms that read input check its form.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// Gives the bare text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

name!(
    /// A cluster's name, unique in its fleet.
    ClusterName
);
name!(
    /// A node's name, unique in its cluster.
    NodeName
);
name!(
    /// A group of nodes with one duty in a cluster: `server`, `client`.
    GroupName
);
name!(
    /// A pack's name: `etcd`.
    PackName
);
name!(
    /// A run's id, short enough to type.
    RunId
);
name!(
    /// A step's id, unique in its plan and readable: `h1.demo-2.stop`.
    StepId
);
name!(
    /// Lower-case hexadecimal SHA-256 of a canonical form.
    Digest
);

impl Digest {
    /// The first twelve characters: enough to name a plan in a sentence.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $type(pub u64);
        impl $type {
            /// The next number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// The fencing counter of a lease: only the newest may act.
    Generation
);
number!(
    /// A position in a run's journal; the first event is 1, an empty journal is at 0.
    Seq
);
number!(
    /// One try of a step, counted from 1.
    Attempt
);
