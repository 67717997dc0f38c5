//! The simulated cluster: members, their processes and disks, who leads, who is behind, and what the controller can see.
//!
//! Invariant: the world changes only by `advance` (time), `act` (a controller) and `fault` (bad luck).
//! Read next: `member.rs`, then `act.rs` and `look.rs`.

mod act;
mod fault;
mod look;
mod member;

pub(crate) use act::node_of;
pub use act::{Acted, Hurt};
pub use fault::Fault;
pub use look::{Print, Whom};
pub use member::{Member, Process};

use crate::{
    chance::Chance,
    clock::Millis,
    product::{CLIENT, Product, Rel},
};
use quorate_model::{NodeName, Observation};

/// An election takes between these, as raft products do with default time-outs.
const ELECTION: (Millis, Millis) = (300, 1500);
/// A cluster takes a new release between these after its last member runs it.
const RAISE: (Millis, Millis) = (300, 2000);

/// A copy of the data.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Its file.
    pub file: String,
    /// The release it was taken on.
    pub release: Rel,
    /// Restored and compared.
    pub verified: bool,
}

/// The cluster and everything around it.
#[derive(Debug)]
pub struct World {
    /// Now.
    pub now: Millis,
    /// In declared order.
    pub members: Vec<Member>,
    /// Who leads.
    pub leader: Option<usize>,
    /// The release line that the cluster as a whole has taken.
    pub cluster_line: u32,
    /// Copies taken so far.
    pub copies: Vec<Copy>,
    /// Temporary changes in force.
    pub temporary: Vec<String>,
    /// Swaps do not look at digests: something broken on purpose.
    pub trusts_digests: bool,
    election_at: Option<Millis>,
    raise_at: Option<Millis>,
    chance: Chance,
    seen: Observation,
    print: Print,
}

impl World {
    /// A healthy cluster on one release; `learners` of its last members have no vote.
    pub fn new(names: &[NodeName], learners: usize, release: Rel, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let voters = names.len() - learners.min(names.len() - 1);
        let leader = chance.place(voters);
        let members = names
            .iter()
            .enumerate()
            .map(|(i, name)| Member::healthy(name, i < voters, release))
            .collect();
        let mut world = Self {
            now: 0,
            members,
            leader: Some(leader),
            cluster_line: Product::get().line(release),
            copies: Vec::new(),
            temporary: Vec::new(),
            trusts_digests: false,
            election_at: None,
            raise_at: None,
            chance,
            seen: look::blank(names),
            print: Print::default(),
        };
        world.settle();
        world
    }

    /// The same with clients beside it, on the same release.
    #[must_use]
    pub fn with_clients(mut self, names: &[NodeName]) -> Self {
        let release = self.members.first().map_or(0, |member| member.runs);
        for name in names {
            self.members.push(Member::client(name, release));
            self.seen.nodes.push(look::unseen(name, CLIENT));
        }
        self
    }

    /// The place of a member.
    pub fn place(&self, name: &NodeName) -> Option<usize> {
        self.members.iter().position(|member| member.name == *name)
    }
    /// Voters, whatever their state.
    pub fn voters(&self) -> usize {
        self.members.iter().filter(|member| member.voter).count()
    }
    /// The smallest majority.
    pub fn quorum(&self) -> usize {
        self.voters() / 2 + 1
    }
    /// Whether a member takes part: it runs and its peers reach it.
    pub fn takes_part(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(Member::takes_part)
    }
    /// Voters that take part.
    pub fn serving_voters(&self) -> usize {
        self.members.iter().filter(|member| member.voter && member.takes_part()).count()
    }
    /// Whether a member serves clients: it takes part and somebody leads. A client is well when it runs.
    pub fn healthy(&self, index: usize) -> bool {
        let client = self.members.get(index).is_some_and(|member| member.client);
        self.takes_part(index) && (client || self.leader.is_some())
    }
    /// Clients, whatever their state.
    pub fn clients(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.client)
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: Millis) {
        while let Some(at) = self.next_change().filter(|at| *at <= to) {
            self.pass(at);
            self.settle();
        }
        self.pass(to);
    }

    fn next_change(&self) -> Option<Millis> {
        let starts = self.members.iter().filter_map(Member::next_change);
        starts.chain(self.election_at).chain(self.raise_at).min()
    }

    fn pass(&mut self, to: Millis) {
        let passed = to.saturating_sub(self.now);
        for member in &mut self.members {
            member.pass(passed, to);
        }
        self.now = self.now.max(to);
    }

    /// Whatever follows at once from the state of processes and network.
    pub(crate) fn settle(&mut self) {
        for member in &mut self.members {
            member.finish_start(self.now, self.cluster_line);
        }
        let quorate = self.serving_voters() >= self.quorum();
        if self.leader.is_some_and(|leader| !quorate || !self.takes_part(leader)) {
            self.leader = None;
        }
        match (self.leader, quorate, self.election_at) {
            (None, true, None) => {
                self.election_at = Some(self.now + self.chance.between(ELECTION.0, ELECTION.1));
            }
            (None, true, Some(at)) if at <= self.now => self.elect(),
            (Some(_), _, _) | (None, false, _) => self.election_at = None,
            (None, true, Some(_)) => {}
        }
        self.settle_release();
    }

    /// The least behind of the voters that take part; chance decides among equals.
    fn elect(&mut self) {
        self.election_at = None;
        let able = |(_, member): &(usize, &Member)| member.voter && member.takes_part();
        let lag =
            self.members.iter().enumerate().filter(able).map(|(_, member)| member.lag()).min();
        let best: Vec<usize> = self
            .members
            .iter()
            .enumerate()
            .filter(able)
            .filter(|(_, member)| Some(member.lag()) == lag)
            .map(|(index, _)| index)
            .collect();
        let chosen = self.chance.place(best.len());
        self.leader = best.get(chosen).copied();
        if let Some(leader) = self.leader {
            self.members[leader].lead();
        }
    }

    fn settle_release(&mut self) {
        let all_in =
            self.leader.is_some() && self.members.iter().all(|m| !m.voter || m.takes_part());
        let product = Product::get();
        let lowest = self
            .members
            .iter()
            .filter(|m| m.voter)
            .map(|m| product.line(m.runs))
            .min()
            .unwrap_or(0);
        match self.raise_at {
            _ if !all_in || lowest <= self.cluster_line => self.raise_at = None,
            None => self.raise_at = Some(self.now + self.chance.between(RAISE.0, RAISE.1)),
            Some(at) if at <= self.now => {
                self.cluster_line = lowest;
                self.raise_at = None;
            }
            Some(_) => {}
        }
    }

    /// Whether every member runs the release and takes part, and somebody leads.
    pub fn all_at(&self, release: Rel) -> bool {
        self.leader.is_some()
            && self.members.iter().all(|member| member.takes_part() && member.runs == release)
    }
}
