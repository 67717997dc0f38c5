//! Words as a shell reads them, and loops in its numbers.

use quorate_model::Gate;
use std::time::Duration;

/// One word, quoted only where it must be.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Words of one command.
pub(super) fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    all.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Seconds as `sleep` takes them.
pub(super) fn seconds(time: Duration) -> String {
    let secs = time.as_secs_f64();
    if secs.fract() == 0.0 { format!("{secs:.0}") } else { format!("{secs:.1}") }
}

/// How a gate is waited for: good looks in a row (healthy time counted in looks), seconds between looks, looks at most.
pub(super) fn waits(gate: &Gate) -> String {
    // A tenth of a second is the shortest pause that a shell's own look does not outlast.
    let every = gate.look_every.max(Duration::from_millis(100));
    let looks = |time: Duration| time.as_millis().div_ceil(every.as_millis());
    let row = u128::from(gate.good_looks).max(looks(gate.soak) + 1);
    format!("{row} {} {}", seconds(every), looks(gate.limit).max(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(
            words(["/x/etcd", "--name=a b", "it's", ""]),
            r"/x/etcd '--name=a b' 'it'\''s' ''"
        );
        assert_eq!(word("$(touch evil)"), "'$(touch evil)'");
    }

    #[test]
    fn a_gate_is_waited_for_a_bounded_number_of_looks() {
        let secs = Duration::from_secs;
        let gate = |good_looks, look_every, soak, limit| Gate {
            name: "rejoin".into(),
            conditions: Vec::new(),
            good_looks,
            look_every,
            soak,
            limit,
        };
        assert_eq!(waits(&gate(3, secs(2), secs(0), secs(300))), "3 2 150");
        assert_eq!(waits(&gate(3, secs(2), secs(10), secs(300))), "6 2 150");
        assert_eq!(waits(&gate(2, Duration::from_millis(200), secs(0), secs(1))), "2 0.2 5");
        assert_eq!(waits(&gate(2, secs(0), secs(0), secs(0))), "2 0.1 2");
    }
}
