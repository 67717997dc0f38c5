//! What commands call: each a whole act of an operator, from its words to its answer.

pub mod plan;
pub mod run;
pub mod see;
