//! The order in which members move: the sick first, then those without a vote, then followers, the leader last.
//!
//! A member that is already down takes nothing away when it moves, and brings tolerance back once it serves. A learner
//! has no vote, so it is the gentlest one to try a new release on, and it then still reads from an older leader, the
//! direction that products support. The leader goes last (S3): clients notice one change of leadership, not several.

use crate::members::{Member, Part, Standing};
use quorate_model::NodeName;

/// Sorts members for one hop. `leader` is who will lead when the hop begins; `healed` says that earlier hops have
/// brought everybody back.
pub(crate) fn order(members: &[Member<'_>], leader: Option<&NodeName>, healed: bool) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..members.len()).collect();
    indices.sort_by_key(|index| rank(&members[*index], leader, healed));
    indices
}

fn rank(member: &Member<'_>, leader: Option<&NodeName>, healed: bool) -> u8 {
    let down = !healed && member.standing() != Standing::Up;
    match member.part() {
        Part::Client => 4,
        Part::Voter if leader == Some(member.name()) => 3,
        Part::Voter | Part::Learner if down => 0,
        Part::Learner => 1,
        Part::Voter => 2,
    }
}
