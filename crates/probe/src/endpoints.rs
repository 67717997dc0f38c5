//! Chooses the endpoint of the next try, as a good client does: in turn, around those that just failed, and without piling up
//! requests at those that do not answer.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// An endpoint that failed is passed over for this long, unless all did. Short, so that a member that is back is used
/// again at once; long enough that not every write pays for a member that is down.
const SHUN: Duration = Duration::from_millis(250);

/// For how long a server may work on a request that its client gave up: Consul's agents hold one for 7 s while there is no leader
/// (`rpc_hold_timeout`), and its connection with it.
const HELD: Duration = Duration::from_secs(10);

/// Requests that were given up and may still be held by an endpoint, before it gets no more than one every [`SHUN`]: with these,
/// forty in ten seconds, it stays at half of the 200 connections that Consul allows a client's address
/// (`http_max_conns_per_client`). Past that it closes every new one, those of gates and of the operator's own tools, too.
const HELD_MAX: usize = 64;

/// What came back of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// What was asked for.
    Served,
    /// Something else, or the connection broke.
    Refused,
    /// Nothing until the try was given up.
    Silent,
}

impl Reply {
    /// Of a try that took this long of what it was allowed.
    pub(crate) fn of(served: bool, took: Duration, limit: Duration) -> Self {
        match served {
            true => Self::Served,
            false if took < limit => Self::Refused,
            false => Self::Silent,
        }
    }
}

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

/// How an endpoint behaved so far.
#[derive(Debug, Clone, Default)]
struct Standing {
    shunned_until: Duration,
    /// When the last try was sent there.
    tried: Duration,
    /// When requests were given up there that may still be held.
    given_up: VecDeque<Duration>,
}

impl Standing {
    /// Whether another request may be sent there now.
    fn is_open(&mut self, now: Duration) -> bool {
        while self.given_up.front().is_some_and(|at| *at + HELD <= now) {
            self.given_up.pop_front();
        }
        self.given_up.len() < HELD_MAX || self.tried + SHUN <= now
    }
}

/// All endpoints of a cluster.
#[derive(Debug)]
pub(crate) struct Endpoints {
    all: Vec<Endpoint>,
    standings: Vec<Standing>,
    cursor: usize,
}

impl Endpoints {
    /// Endpoints in the order of the fleet file.
    pub(crate) fn new(all: Vec<Endpoint>) -> Self {
        let standings = vec![Standing::default(); all.len()];
        Self { all, standings, cursor: 0 }
    }

    /// The next one in turn; none while each holds as much as it may. `not` is the one that the last try went to: another is
    /// better.
    pub(crate) fn next(&mut self, now: Duration, not: Option<usize>) -> Option<usize> {
        let count = self.all.len();
        let open: Vec<usize> = (0..count)
            .map(|step| (self.cursor + step) % count)
            .filter(|index| self.standings[*index].is_open(now))
            .collect();
        let other = |index: &&usize| Some(**index) != not;
        let chosen = *open
            .iter()
            .find(|index| other(index) && self.standings[**index].shunned_until <= now)
            .or_else(|| open.iter().find(other))
            .or_else(|| open.first())?;
        self.cursor = (chosen + 1) % count;
        self.standings[chosen].tried = now;
        Some(chosen)
    }

    /// Remembers what came back of a try.
    pub(crate) fn judge(&mut self, index: usize, reply: Reply, now: Duration) {
        let Some(standing) = self.standings.get_mut(index) else { return };
        match reply {
            // Who answers again has answered what it held, too.
            Reply::Served => *standing = Standing { tried: standing.tried, ..Standing::default() },
            Reply::Refused => standing.shunned_until = now + SHUN,
            Reply::Silent => {
                standing.shunned_until = now + SHUN;
                standing.given_up.push_back(now);
            }
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

    fn named(names: &[&str]) -> Endpoints {
        let endpoint =
            |name: &&str| Endpoint { name: (*name).into(), url: (*name).into(), dns: None };
        Endpoints::new(names.iter().map(endpoint).collect())
    }

    fn three() -> Endpoints {
        named(&["a", "b", "c"])
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
        endpoints.judge(1, Reply::Refused, Duration::ZERO);
        assert_eq!(turns(&mut endpoints, Duration::from_millis(10), 3), [0, 2, 0]);
        assert_eq!(turns(&mut endpoints, SHUN, 2), [1, 2]);
        endpoints.judge(0, Reply::Refused, SHUN);
        endpoints.judge(0, Reply::Served, SHUN);
        assert_eq!(turns(&mut endpoints, SHUN, 1), [0]);
    }

    #[test]
    fn a_retry_goes_elsewhere_even_when_all_have_failed() {
        let mut endpoints = three();
        (0..3).for_each(|index| endpoints.judge(index, Reply::Silent, Duration::ZERO));
        assert_eq!(endpoints.next(Duration::ZERO, Some(0)), Some(1));
        assert_eq!(named(&["a"]).next(Duration::ZERO, Some(0)), Some(0));
        assert_eq!(named(&[]).next(Duration::ZERO, None), None);
    }

    #[test]
    fn a_try_is_silent_once_its_time_is_up() {
        let [short, limit] = [399, 400].map(Duration::from_millis);
        assert_eq!(Reply::of(true, limit, limit), Reply::Served);
        assert_eq!(Reply::of(false, short, limit), Reply::Refused);
        assert_eq!(Reply::of(false, limit, limit), Reply::Silent);
    }

    /// 32 writes and 8 reads that give up after 400 ms, against two servers that hold everything: what they hold at a time.
    #[test]
    fn a_cluster_without_a_leader_is_not_buried_in_requests() {
        let mut endpoints = named(&["a", "b"]);
        let mut held = [VecDeque::new(), VecDeque::new()];
        let mut free_at = [Duration::ZERO; 40];
        let mut most = 0;
        for now in (0..20_000).step_by(10).map(Duration::from_millis) {
            for client in &mut free_at {
                if now < *client {
                    continue;
                }
                if let Some(index) = endpoints.next(now, None) {
                    held[index].push_back(now);
                    // The model knows at once what the client learns when it gives up.
                    endpoints.judge(index, Reply::Silent, now);
                    *client = now + Duration::from_millis(400);
                }
            }
            for server in &mut held {
                server.retain(|since| *since + Duration::from_secs(7) > now);
                most = most.max(server.len());
            }
        }
        assert!((HELD_MAX..=100).contains(&most), "{most} held at a time by one server");
        endpoints.judge(0, Reply::Served, Duration::from_secs(20));
        assert_eq!(
            turns(&mut endpoints, Duration::from_secs(20), 40).len(),
            40,
            "all at once again"
        );
    }
}
