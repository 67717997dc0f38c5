//! Keeps the account of what was written: which value every key of the probe must hold, in bounded memory.
//!
//! The probe owns a fixed number of keys, its registers. A register has at most one write under way, and every value is
//! a number that only grows, so the newest acknowledged number is the least that a register may ever show.
//! A try whose fate nobody knows may still arrive later, after a younger write, and would then look like a loss.
//! So a key that met such a try is retired: it is never written again, its place is taken by a fresh key, and the
//! account at the end knows exactly which values it may hold. All tries of one write carry the same value.
//!
//! Invariant: every acknowledged write is either the newest of its key, or was followed by a younger acknowledged
//! write to the same key. Both are checked at the end; reads in between confirm values before they are overwritten.
//! Absent on purpose: time and network. Read next: `writer.rs`, who asks for tickets.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Registers in rotation. At a write every 10 ms each one rests for five seconds between two writes, longer than any
/// election, so that a reader has seen each value before it is overwritten.
pub(crate) const REGISTERS: usize = 512;

/// Retired keys kept in memory, about a megabyte. Older ones are read back at once and then forgotten.
pub(crate) const RETIRED_MAX: usize = 10_000;

/// One write that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Place of the register.
    pub register: usize,
    /// Its key.
    pub key: String,
    /// The value's number.
    pub seq: u64,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteEnd {
    /// The cluster acknowledged it.
    pub acked: bool,
    /// At least one try has an unknown fate: it may have happened, or may happen later.
    pub strays: bool,
}

/// One read that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadTicket {
    /// Place of the register, or none when a retired key is read back.
    pub register: Option<usize>,
    /// Its key.
    pub key: String,
    /// The least number that a linearizable read must show.
    pub floor: Option<u64>,
    /// A number that it may show although it was never acknowledged.
    pub maybe: Option<u64>,
}

/// An acknowledged write that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostWrite {
    /// The key.
    pub key: String,
    /// The acknowledged number.
    pub acked: u64,
    /// What was found instead.
    pub found: Option<String>,
    /// The endpoint that showed it.
    pub endpoint: String,
}

#[derive(Debug, Clone)]
struct Register {
    generation: u32,
    acked: Option<u64>,
    confirmed: Option<u64>,
    busy: bool,
    doubted: bool,
}

/// A key that is never written again, and what it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Retired {
    key: String,
    acked: Option<u64>,
    maybe: Option<u64>,
}

/// The account.
#[derive(Debug)]
pub(crate) struct Ledger {
    prefix: String,
    registers: Vec<Register>,
    cursor: usize,
    read_cursor: usize,
    next_seq: u64,
    retired: VecDeque<Retired>,
    retired_max: usize,
    overwritten_unread: u64,
    lost: Vec<LostWrite>,
}

impl Ledger {
    /// An empty account over keys that begin with `prefix`.
    pub(crate) fn new(prefix: impl Into<String>, registers: usize, retired_max: usize) -> Self {
        let fresh =
            Register { generation: 0, acked: None, confirmed: None, busy: false, doubted: false };
        let registers = vec![fresh; registers.max(1)];
        // Readers start at the far side, so that each value is read half a round after it was written.
        let read_cursor = registers.len() / 2;
        Self {
            prefix: prefix.into(),
            registers,
            cursor: 0,
            read_cursor,
            next_seq: 1,
            retired: VecDeque::new(),
            retired_max,
            overwritten_unread: 0,
            lost: Vec::new(),
        }
    }

    /// The text that stands for a number.
    pub(crate) fn value(seq: u64) -> String {
        seq.to_string()
    }

    fn key(&self, index: usize) -> String {
        format!("{}{index:04}-{}", self.prefix, self.registers[index].generation)
    }

    /// Begins the next write, or none when every register has one under way.
    pub(crate) fn begin_write(&mut self) -> Option<Ticket> {
        let count = self.registers.len();
        let register = (0..count)
            .map(|step| (self.cursor + step) % count)
            .find(|index| !self.registers[*index].busy)?;
        self.cursor = (register + 1) % count;
        let seq = self.next_seq;
        self.next_seq += 1;
        let slot = &mut self.registers[register];
        slot.busy = true;
        if slot.acked.is_some() && slot.confirmed < slot.acked {
            self.overwritten_unread += 1;
        }
        Some(Ticket { register, key: self.key(register), seq })
    }

    /// Ends a write.
    pub(crate) fn end_write(&mut self, ticket: &Ticket, end: WriteEnd) {
        let slot = &mut self.registers[ticket.register];
        slot.busy = false;
        let before = slot.acked;
        if end.acked {
            slot.acked = Some(ticket.seq);
        }
        if end.strays || slot.doubted {
            let acked = if end.acked { Some(ticket.seq) } else { before };
            let maybe = (!end.acked && end.strays).then_some(ticket.seq);
            self.retire(ticket.register, acked, maybe);
        }
    }

    fn retire(&mut self, register: usize, acked: Option<u64>, maybe: Option<u64>) {
        let key = self.key(register);
        self.retired.push_back(Retired { key, acked, maybe });
        let slot = &mut self.registers[register];
        *slot = Register {
            generation: slot.generation + 1,
            acked: None,
            confirmed: None,
            busy: false,
            doubted: false,
        };
    }

    /// Begins the next read: a retired key that memory has no room for, else the next register that holds anything.
    pub(crate) fn begin_read(&mut self) -> Option<ReadTicket> {
        if self.retired.len() > self.retired_max {
            let Retired { key, acked, maybe } = self.retired.pop_front()?;
            return Some(ReadTicket { register: None, key, floor: acked, maybe });
        }
        let count = self.registers.len();
        let index = (0..count)
            .map(|step| (self.read_cursor + step) % count)
            .find(|index| self.registers[*index].acked.is_some())?;
        self.read_cursor = (index + 1) % count;
        // What one linearizable read has shown, no later one may take back.
        let floor = self.registers[index].acked.max(self.registers[index].confirmed);
        Some(ReadTicket { register: Some(index), key: self.key(index), floor, maybe: None })
    }

    /// Ends a read that was answered with `text`. True when the value is as young as it must be.
    pub(crate) fn end_read(
        &mut self,
        ticket: &ReadTicket,
        text: Option<&str>,
        endpoint: &str,
    ) -> bool {
        let seen = text.and_then(|text| text.parse::<u64>().ok());
        match ticket.register {
            None => {
                let fine = fits(ticket.floor, ticket.maybe, seen);
                if let (false, Some(acked)) = (fine, ticket.floor) {
                    self.lost.push(lost(&ticket.key, acked, text, endpoint));
                }
                fine
            }
            Some(index) => {
                // Younger than the floor is fine: a write may have ended while the read was on its way.
                let fine = seen >= ticket.floor;
                if self.key(index) == ticket.key {
                    let slot = &mut self.registers[index];
                    if fine {
                        slot.confirmed = slot.confirmed.max(seen);
                    } else if slot.busy {
                        slot.doubted = true;
                    } else {
                        // Kept as it is, so that the account at the end decides between stale and lost.
                        let acked = slot.acked;
                        self.retire(index, acked, None);
                    }
                }
                fine
            }
        }
    }

    /// A retired key whose read was not answered goes back on the list.
    pub(crate) fn give_back(&mut self, ticket: ReadTicket) {
        if ticket.register.is_none() {
            let ReadTicket { key, floor, maybe, .. } = ticket;
            self.retired.push_back(Retired { key, acked: floor, maybe });
        }
    }

    /// Compares with everything that one endpoint shows; remembers and gives what is missing there.
    pub(crate) fn compare(&mut self, pairs: &BTreeMap<String, String>, endpoint: &str) -> usize {
        let mut found = Vec::new();
        let mut check = |key: &str, acked: Option<u64>, maybe: Option<u64>| {
            let text = pairs.get(key).map(String::as_str);
            let seen = text.and_then(|text| text.parse::<u64>().ok());
            if let (Some(acked), false) = (acked, fits(acked, maybe, seen)) {
                found.push(lost(key, acked, text, endpoint));
            }
        };
        for (index, slot) in self.registers.iter().enumerate() {
            check(&self.key(index), slot.acked, None);
        }
        for Retired { key, acked, maybe } in &self.retired {
            check(key, *acked, *maybe);
        }
        let count = found.len();
        self.lost.append(&mut found);
        count
    }

    /// What the keys must hold from now on, whatever becomes of this probe.
    pub(crate) fn holds(&self) -> Vec<Hold> {
        let rotating = self.registers.iter().enumerate().filter_map(|(index, slot)| {
            Some(Hold { key: self.key(index), acked: slot.acked?, maybe: None, rests: false })
        });
        let resting = self.retired.iter().filter_map(|Retired { key, acked, maybe }| {
            Some(Hold { key: key.clone(), acked: (*acked)?, maybe: *maybe, rests: true })
        });
        rotating.chain(resting).collect()
    }

    /// What is missing, as far as it was looked for. One key may stand there once for each endpoint.
    pub(crate) fn lost(&self) -> &[LostWrite] {
        &self.lost
    }

    /// Acknowledged values that were overwritten before any read had shown them.
    pub(crate) fn overwritten_unread(&self) -> u64 {
        self.overwritten_unread
    }

    /// Numbers given out so far.
    pub(crate) fn begun(&self) -> u64 {
        self.next_seq - 1
    }
}

/// What one key must hold after its probe died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The key.
    pub key: String,
    /// The newest number that was known to be acknowledged.
    pub acked: u64,
    /// A number that it may hold instead.
    pub maybe: Option<u64>,
    /// It was not written any more; others may hold something younger, written in the last moments.
    pub rests: bool,
}

/// The acknowledged numbers that are missing among the pairs.
pub(crate) fn missing(holds: &[Hold], pairs: &BTreeMap<String, String>) -> Vec<u64> {
    let fine = |hold: &&Hold| {
        let seen = pairs.get(&hold.key).and_then(|text| text.parse::<u64>().ok());
        if hold.rests { fits(Some(hold.acked), hold.maybe, seen) } else { seen >= Some(hold.acked) }
    };
    holds.iter().filter(|hold| !fine(hold)).map(|hold| hold.acked).collect()
}

/// Whether a key that is not written any more may show `seen`.
fn fits(acked: Option<u64>, maybe: Option<u64>, seen: Option<u64>) -> bool {
    seen == acked || (seen.is_some() && seen == maybe)
}

fn lost(key: &str, acked: u64, found: Option<&str>, endpoint: &str) -> LostWrite {
    LostWrite {
        key: key.to_owned(),
        acked,
        found: found.map(str::to_owned),
        endpoint: endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACKED: WriteEnd = WriteEnd { acked: true, strays: false };
    const FAILED: WriteEnd = WriteEnd { acked: false, strays: false };
    const ACKED_WITH_STRAY: WriteEnd = WriteEnd { acked: true, strays: true };
    const MAYBE: WriteEnd = WriteEnd { acked: false, strays: true };

    /// Writes with these ends on one register and gives the account with the keys used, in order.
    fn written(ends: &[WriteEnd]) -> (Ledger, Vec<String>) {
        let mut ledger = Ledger::new("p/", 1, 2);
        let keys = ends
            .iter()
            .map(|end| {
                let ticket = ledger.begin_write().unwrap();
                ledger.end_write(&ticket, *end);
                ticket.key
            })
            .collect();
        (ledger, keys)
    }

    fn losses(ends: &[WriteEnd], shown: &[(usize, u64)]) -> usize {
        let (mut ledger, keys) = written(ends);
        let pairs = shown.iter().map(|(write, seq)| (keys[*write].clone(), seq.to_string()));
        ledger.compare(&pairs.collect(), "a")
    }

    #[test]
    fn the_newest_acknowledged_value_must_be_there() {
        assert_eq!(losses(&[ACKED, ACKED], &[(1, 2)]), 0);
        assert_eq!(losses(&[ACKED, ACKED], &[(1, 1)]), 1, "the older value came back");
        assert_eq!(losses(&[ACKED], &[]), 1, "the key is gone");
        assert_eq!(losses(&[FAILED], &[]), 0, "nothing was promised");
        assert_eq!(losses(&[ACKED, FAILED], &[(0, 1)]), 0);
        assert_eq!(losses(&[ACKED], &[(0, 99)]), 1, "a value that nobody wrote is no proof");
    }

    #[test]
    fn a_write_of_unknown_fate_may_be_there_or_not() {
        assert_eq!(losses(&[ACKED, MAYBE], &[(0, 1)]), 0);
        assert_eq!(losses(&[ACKED, MAYBE], &[(0, 2)]), 0);
        assert_eq!(losses(&[ACKED, MAYBE], &[]), 1);
        assert_eq!(losses(&[MAYBE], &[]), 0);
    }

    #[test]
    fn a_late_try_never_meets_a_younger_write() {
        let (_, keys) = written(&[ACKED_WITH_STRAY, ACKED, MAYBE, ACKED]);
        assert_ne!(
            keys[0], keys[1],
            "the key of a stray try is written once more only by that try"
        );
        assert_eq!(keys[1], keys[2]);
        assert_ne!(keys[2], keys[3]);
        assert_eq!(losses(&[ACKED_WITH_STRAY, ACKED], &[(0, 1), (1, 2)]), 0);
        assert_eq!(losses(&[ACKED_WITH_STRAY, ACKED], &[(1, 2)]), 1);
    }

    #[test]
    fn a_register_has_one_write_under_way() {
        let mut ledger = Ledger::new("p/", 2, 2);
        let (first, second) = (ledger.begin_write().unwrap(), ledger.begin_write().unwrap());
        assert_ne!(first.register, second.register);
        assert!(ledger.begin_write().is_none());
        ledger.end_write(&first, ACKED);
        assert_eq!(ledger.begin_write().unwrap().register, first.register);
    }

    #[test]
    fn a_read_shows_what_was_acknowledged_before_it_began() {
        let (mut ledger, _) = written(&[ACKED]);
        let read = ledger.begin_read().unwrap();
        let write = ledger.begin_write().unwrap();
        ledger.end_write(&write, ACKED);
        assert!(
            ledger.end_read(&read, Some("1"), "a"),
            "the younger write ended after the read began"
        );
        let read = ledger.begin_read().unwrap();
        assert!(!ledger.end_read(&read, Some("1"), "a"));
        assert!(ledger.begin_read().is_none(), "the doubtful key waits for the account");
        assert_eq!(ledger.compare(&BTreeMap::new(), "a"), 1);
    }

    #[test]
    fn what_a_read_showed_is_not_taken_back() {
        let (mut ledger, _) = written(&[ACKED]);
        let write = ledger.begin_write().unwrap();
        let read = ledger.begin_read().unwrap();
        assert!(ledger.end_read(&read, Some("2"), "a"));
        let read = ledger.begin_read().unwrap();
        assert!(!ledger.end_read(&read, Some("1"), "b"), "older than what was shown before");
        ledger.end_write(&write, ACKED);
    }

    #[test]
    fn memory_is_bounded_by_reading_old_keys_back() {
        let (mut ledger, keys) = written(&[ACKED_WITH_STRAY, ACKED_WITH_STRAY, ACKED_WITH_STRAY]);
        let read = ledger.begin_read().unwrap();
        assert_eq!((read.register, read.key.as_str()), (None, keys[0].as_str()));
        assert!(!ledger.end_read(&read, None, "a"));
        assert_eq!(ledger.lost().len(), 1);
        assert!(
            ledger.begin_read().is_none(),
            "back within its bound, and no register holds anything"
        );
    }

    #[test]
    fn counts_values_that_no_read_has_confirmed() {
        let (mut ledger, _) = written(&[ACKED]);
        let read = ledger.begin_read().unwrap();
        assert!(ledger.end_read(&read, Some("1"), "a"));
        for _ in 0..2 {
            let write = ledger.begin_write().unwrap();
            ledger.end_write(&write, ACKED);
        }
        assert_eq!(ledger.overwritten_unread(), 1, "1 was read, 2 was not");
    }

    #[test]
    fn what_must_be_there_after_a_death_is_known_up_to_what_was_written_last() {
        let (ledger, keys) = written(&[ACKED_WITH_STRAY, ACKED, MAYBE]);
        let holds = ledger.holds();
        let lost = |shown: &[(usize, u64)]| {
            let pairs = shown.iter().map(|(write, seq)| (keys[*write].clone(), seq.to_string()));
            missing(&holds, &pairs.collect())
        };
        assert!(lost(&[(0, 1), (1, 2)]).is_empty(), "as it was");
        assert!(lost(&[(0, 1), (2, 3)]).is_empty(), "the write of unknown fate arrived");
        assert_eq!(lost(&[(1, 2)]), [1]);
        assert_eq!(lost(&[(0, 1)]), [2]);
        // A register that still rotates may have been written after the last note, and never shows anything older.
        let (ledger, keys) = written(&[ACKED, ACKED]);
        let one = |seq: u64| missing(&ledger.holds(), &[(keys[1].clone(), seq.to_string())].into());
        assert_eq!((one(2), one(9), one(1)), (vec![], vec![], vec![2]));
    }
}
