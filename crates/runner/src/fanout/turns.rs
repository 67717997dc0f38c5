//! Who may begin when: a bound, waves of a share of each group, and an end to beginning after a failure.
//!
//! Invariant: no host begins in a wave before every host of the wave before has ended.
//! Absent on purpose: hosts, tasks and time. What ended how comes in as a word.

use quorate_model::Share;
use std::collections::{BTreeMap, VecDeque};

/// How hosts follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Hosts at the same time.
    pub at_once: usize,
    /// At most this part of each group in one wave; without it everybody is in one.
    pub share: Option<Share>,
    /// Goes on after a failure.
    pub keep_going: bool,
}

/// The order of one fan-out.
#[derive(Debug)]
pub(super) struct Turns {
    waves: VecDeque<VecDeque<usize>>,
    running: usize,
    at_once: usize,
    keep_going: bool,
    stopped: bool,
}

impl Turns {
    /// For hosts with these groups, in this order.
    pub(super) fn new(groups: &[&[String]], pace: &Pace) -> Self {
        Self {
            waves: waves(groups, pace.share),
            running: 0,
            at_once: pace.at_once.max(1),
            keep_going: pace.keep_going,
            stopped: false,
        }
    }

    /// The next host that may begin; none when nobody may at the moment.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.stopped || self.running >= self.at_once {
            return None;
        }
        if self.running == 0 {
            while self.waves.front().is_some_and(VecDeque::is_empty) {
                self.waves.pop_front();
            }
        }
        let host = self.waves.front_mut()?.pop_front()?;
        self.running += 1;
        Some(host)
    }

    /// A host has ended.
    pub(super) fn ended(&mut self, well: bool) {
        self.running -= 1;
        self.stopped |= !well && !self.keep_going;
    }

    /// Nobody begins any more.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }
}

/// Cuts hosts into waves: each host goes into the first one that has room in all of its groups, and never before a host
/// of one of its groups that stands ahead of it. A share smaller than a host still lets one go: none would never end.
fn waves(groups: &[&[String]], share: Option<Share>) -> VecDeque<VecDeque<usize>> {
    let Some(share) = share else { return VecDeque::from([(0..groups.len()).collect()]) };
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for group in groups.iter().flat_map(|own| own.iter()) {
        *sizes.entry(group).or_default() += 1;
    }
    let room = |group: &str| usize::try_from(share.of(sizes[group])).unwrap_or(usize::MAX).max(1);
    let mut waves: Vec<VecDeque<usize>> = Vec::new();
    // For each group the wave that its last host went into, and how many of the group are in that wave.
    let mut last: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (host, own) in groups.iter().enumerate() {
        let earliest = |group: &String| match last.get(group.as_str()) {
            Some((wave, taken)) if *taken >= room(group) => wave + 1,
            Some((wave, _)) => *wave,
            None => 0,
        };
        let wave = own.iter().map(earliest).max().unwrap_or(0);
        for group in *own {
            let (at, taken) = last.entry(group).or_insert((wave, 0));
            if *at == wave {
                *taken += 1;
            } else {
                (*at, *taken) = (wave, 1);
            }
        }
        if waves.len() <= wave {
            waves.resize_with(wave + 1, VecDeque::new);
        }
        waves[wave].push_back(host);
    }
    waves.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets hosts begin and end, each at once, and tells who began between two ends of waves.
    fn told(groups: &[&[&str]], share: Option<Share>, at_once: usize) -> Vec<Vec<usize>> {
        let owned: Vec<Vec<String>> = groups
            .iter()
            .map(|own| own.iter().map(|group| (*group).to_owned()).collect())
            .collect();
        let groups: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
        let mut turns = Turns::new(&groups, &Pace { at_once, share, keep_going: false });
        let mut told = Vec::new();
        loop {
            let began: Vec<usize> = std::iter::from_fn(|| turns.next()).collect();
            if began.is_empty() {
                return told;
            }
            began.iter().for_each(|_| turns.ended(true));
            told.push(began);
        }
    }

    #[test]
    fn everybody_goes_at_once_up_to_the_bound() {
        let five = [["a"].as_slice(); 5];
        assert_eq!(told(&five, None, 64), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(told(&five, None, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(told(&five, None, 1).len(), 5, "one by one, in declared order");
        assert_eq!(told(&[], None, 64), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_share_is_taken_of_each_group() {
        let mut groups = vec![["c/server"].as_slice(); 3];
        groups.extend(vec![["c/client"].as_slice(); 10]);
        let told = told(&groups, Some(Share::Percent(20)), 64);
        assert_eq!(told[0], [0, 3, 4], "one of three servers, two of ten clients");
        assert_eq!(told[2], [2, 7, 8]);
        assert_eq!(told[4], [11, 12]);
        assert_eq!(told.len(), 5);
    }

    #[test]
    fn a_host_of_two_groups_waits_for_both_and_nobody_passes_it() {
        let groups: [&[&str]; 4] = [&["a"], &["a", "b"], &["b"], &["b"]];
        assert_eq!(
            told(&groups, Some(Share::Count(1)), 64),
            [vec![0], vec![1], vec![2], vec![3]],
            "the third stands behind the second, which waits for the first"
        );
    }

    #[test]
    fn a_wave_begins_when_the_one_before_has_ended() {
        let own = ["a".to_owned()];
        let groups = [own.as_slice(); 4];
        let share = Some(Share::Count(2));
        let mut turns = Turns::new(&groups, &Pace { at_once: 64, share, keep_going: false });
        assert_eq!((turns.next(), turns.next(), turns.next()), (Some(0), Some(1), None));
        turns.ended(true);
        assert_eq!(turns.next(), None, "one of the wave still runs");
        turns.ended(true);
        assert_eq!(turns.next(), Some(2));
    }

    #[test]
    fn a_failure_ends_the_beginning_unless_told_to_go_on() {
        for keep_going in [false, true] {
            let own = ["a".to_owned()];
            let groups = [own.as_slice(); 3];
            let pace = Pace { at_once: 2, share: None, keep_going };
            let mut turns = Turns::new(&groups, &pace);
            assert_eq!((turns.next(), turns.next()), (Some(0), Some(1)));
            turns.ended(false);
            assert_eq!(turns.next(), keep_going.then_some(2));
        }
    }
}
