//! Says on a host who works on its cluster, so that two operators with a state folder each learn of one another.
//!
//! Invariant: what another state folder has written is overwritten only when a person says so.

mod guard;

pub use guard::{Guarded, sentence};

use crate::shell;
use quorate_transport::{Answer, Transport};
use std::time::Duration;

/// A small file is written at once by any host that is well enough to be worked on.
const LEASE_LIMIT: Duration = Duration::from_secs(10);

/// Who wants the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The cluster.
    pub cluster: String,
    /// Names the state folder: whoever shares it shares its leases, and settles there who goes first.
    pub state: String,
    /// For people, and unlike that of any other controller: `anna@control-1 (process 4711, run shop-1126)`.
    pub who: String,
}

/// Who holds a cluster, as one of its hosts knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBy {
    /// This controller.
    Own,
    /// Nobody.
    Nobody,
    /// Another controller, in its own words.
    Other(String),
}

/// Takes the cluster on this host. `break_held` takes it from whoever has it.
pub async fn take(transport: &dyn Transport, claim: &Claim, break_held: bool) -> Answer<HeldBy> {
    ask(transport, if break_held { "break" } else { "take" }, claim).await
}

/// Asks who has it.
pub async fn check(transport: &dyn Transport, claim: &Claim) -> Answer<HeldBy> {
    ask(transport, "check", claim).await
}

/// Gives it back; what somebody else holds stays theirs.
pub async fn leave(transport: &dyn Transport, claim: &Claim) -> Answer<()> {
    ask(transport, "leave", claim).await.map(drop)
}

async fn ask(transport: &dyn Transport, what: &str, claim: &Claim) -> Answer<HeldBy> {
    let Claim { cluster, state, who } = claim;
    let command = shell::script(include_str!("lease.sh"), &[what, cluster, state, who]);
    let said = match shell::run(transport, "asking who works on the cluster", &command, LEASE_LIMIT)
        .await
    {
        Answer::Done(said) => said,
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    match said.trim() {
        "own" => Answer::Done(HeldBy::Own),
        "nobody" => Answer::Done(HeldBy::Nobody),
        other => match other.strip_prefix("held ") {
            Some(who) => Answer::Done(HeldBy::Other(who.to_owned())),
            None => Answer::Failed(format!(
                "{} says of who works on {cluster}: {other}",
                transport.name()
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_transport::LocalTransport;

    fn claim(cluster: &str, state: &str, who: &str) -> Claim {
        let [cluster, state, who] = [cluster, state, who].map(str::to_owned);
        Claim { cluster, state, who }
    }

    #[tokio::test]
    async fn one_holds_it_until_it_is_given_back_or_taken_away() {
        // The folder is the host's own, so the name must be nobody else's.
        let name = format!("lease-test-{}", std::process::id());
        let host = LocalTransport;
        let anna = claim(&name, "state-1", "anna@one (process 1)");
        let again = claim(&name, "state-1", "anna@one (process 2)");
        let bert = claim(&name, "state-2", "bert@two (process 1)");
        let other = |who: &Claim| Answer::Done(HeldBy::Other(who.who.clone()));

        assert_eq!(check(&host, &anna).await, Answer::Done(HeldBy::Nobody));
        assert_eq!(take(&host, &anna, false).await, Answer::Done(HeldBy::Own));
        assert_eq!(check(&host, &anna).await, Answer::Done(HeldBy::Own));
        assert_eq!(take(&host, &bert, false).await, other(&anna));
        assert_eq!(leave(&host, &bert).await, Answer::Done(()));
        assert_eq!(check(&host, &bert).await, other(&anna), "it is not bert's to give back");

        // The same state folder goes first where its own lease says so; the older controller then knows.
        assert_eq!(take(&host, &again, false).await, Answer::Done(HeldBy::Own));
        assert_eq!(check(&host, &anna).await, other(&again));
        assert_eq!(leave(&host, &anna).await, Answer::Done(()));
        assert_eq!(check(&host, &again).await, Answer::Done(HeldBy::Own));

        assert_eq!(take(&host, &bert, true).await, Answer::Done(HeldBy::Own));
        assert_eq!(check(&host, &again).await, other(&bert));
        assert_eq!(leave(&host, &bert).await, Answer::Done(()));
        assert_eq!(check(&host, &again).await, Answer::Done(HeldBy::Nobody));
    }
}
