//! Chooses the endpoint of the next try, as a good client does: in turn, around those that just failed.

use std::{net::SocketAddr, time::Duration};

/// An endpoint that failed is passed over for this long, unless all did. Short, so that a member that is back is used
/// again at once; long enough that not every write pays for a member that is down.
const SHUN: Duration = Duration::from_millis(250);

/// Where clients talk to one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The member's name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Where it answers over DNS, when it does and can be reached.
    pub dns: Option<SocketAddr>,
}

/// All endpoints of a cluster.
#[derive(Debug)]
pub(crate) struct Endpoints {
    all: Vec<Endpoint>,
    shunned_until: Vec<Duration>,
    cursor: usize,
}

impl Endpoints {
    /// Endpoints in the order of the fleet file.
    pub(crate) fn new(all: Vec<Endpoint>) -> Self {
        let shunned_until = vec![Duration::ZERO; all.len()];
        Self { all, shunned_until, cursor: 0 }
    }

    /// The next one in turn. `not` is the one that the last try went to: another is better.
    pub(crate) fn next(&mut self, now: Duration, not: Option<usize>) -> Option<usize> {
        let count = self.all.len();
        let turn = |step: usize| (self.cursor + step) % count;
        let fresh = |index: &usize| self.shunned_until[*index] <= now;
        let chosen = (0..count)
            .map(turn)
            .find(|index| fresh(index) && Some(*index) != not)
            .or_else(|| (0..count).map(turn).find(|index| Some(*index) != not))
            .or(not)?;
        self.cursor = (chosen + 1) % count;
        Some(chosen)
    }

    /// Passes an endpoint over for a moment.
    pub(crate) fn shun(&mut self, index: usize, now: Duration) {
        if let Some(until) = self.shunned_until.get_mut(index) {
            *until = now + SHUN;
        }
    }

    /// It answered.
    pub(crate) fn trust(&mut self, index: usize) {
        if let Some(until) = self.shunned_until.get_mut(index) {
            *until = Duration::ZERO;
        }
    }

    /// One of them.
    pub(crate) fn get(&self, index: usize) -> Option<&Endpoint> {
        self.all.get(index)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Endpoint] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Endpoints {
        let all =
            ["a", "b", "c"].map(|name| Endpoint { name: name.into(), url: name.into(), dns: None });
        Endpoints::new(all.to_vec())
    }

    fn turns(endpoints: &mut Endpoints, now: Duration, count: usize) -> Vec<usize> {
        (0..count).filter_map(|_| endpoints.next(now, None)).collect()
    }

    #[test]
    fn takes_them_in_turn() {
        assert_eq!(turns(&mut three(), Duration::ZERO, 5), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn passes_over_one_that_failed_until_its_time_is_up() {
        let mut endpoints = three();
        endpoints.shun(1, Duration::ZERO);
        assert_eq!(turns(&mut endpoints, Duration::from_millis(10), 3), [0, 2, 0]);
        assert_eq!(turns(&mut endpoints, SHUN, 2), [1, 2]);
        endpoints.shun(0, SHUN);
        endpoints.trust(0);
        assert_eq!(turns(&mut endpoints, SHUN, 1), [0]);
    }

    #[test]
    fn a_retry_goes_elsewhere_even_when_all_have_failed() {
        let mut endpoints = three();
        for index in 0..3 {
            endpoints.shun(index, Duration::ZERO);
        }
        assert_eq!(endpoints.next(Duration::ZERO, Some(0)), Some(1));
        let mut single =
            Endpoints::new(vec![Endpoint { name: "a".into(), url: "a".into(), dns: None }]);
        assert_eq!(single.next(Duration::ZERO, Some(0)), Some(0));
        assert_eq!(Endpoints::new(Vec::new()).next(Duration::ZERO, None), None);
    }
}
