//! Which hosts said the same: what a person reads of two hundred answers is how many kinds there are.

use super::{Came, HostResult};

/// Hosts with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike<'r> {
    /// Their names, in the order of the results.
    pub hosts: Vec<&'r str>,
    /// What came of the command on each of them.
    pub came: &'r Came,
    /// And of the one for failures.
    pub on_failure: Option<&'r Came>,
}

/// Puts hosts together whose status and output are equal: those that ended well first, then as they first come.
pub fn alike(results: &[HostResult]) -> Vec<Alike<'_>> {
    let mut kinds: Vec<Alike<'_>> = Vec::new();
    for result in results {
        let on_failure = result.on_failure.as_ref();
        match kinds.iter_mut().find(|own| *own.came == result.came && own.on_failure == on_failure)
        {
            Some(own) => own.hosts.push(&result.name),
            None => {
                kinds.push(Alike { hosts: vec![&result.name], came: &result.came, on_failure });
            }
        }
    }
    kinds.sort_by_key(|own| !own.came.is_well());
    kinds
}
