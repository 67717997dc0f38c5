//! How many names read at once: `db-[1-3,7], web-1`.

/// Names for people, in the order in which they come; those that differ in their last number alone stand together.
pub fn folded<S: AsRef<str>>(names: &[S]) -> String {
    let mut families: Vec<Family<'_>> = Vec::new();
    for name in names.iter().map(AsRef::as_ref) {
        let Some((before, number, after)) = parts(name) else {
            families.push(Family { before: name, after: "", numbers: Vec::new() });
            continue;
        };
        let own = |family: &&mut Family<'_>| {
            (family.before, family.after) == (before, after) && !family.numbers.is_empty()
        };
        match families.iter_mut().find(own) {
            Some(family) => family.numbers.push(number),
            None => families.push(Family { before, after, numbers: vec![number] }),
        }
    }
    families.into_iter().map(Family::text).collect::<Vec<_>>().join(", ")
}

/// Names that differ in one number.
struct Family<'n> {
    before: &'n str,
    after: &'n str,
    numbers: Vec<(u64, &'n str)>,
}

impl Family<'_> {
    fn text(mut self) -> String {
        let Self { before, after, numbers } = &mut self;
        numbers.sort_unstable();
        numbers.dedup();
        let mut runs: Vec<(&str, (u64, &str))> = Vec::new();
        for (number, digits) in numbers.iter().copied() {
            match runs.last_mut() {
                // `09` goes on as `10`, `9` as well; `9` does not go on as `010`.
                Some((_, (last, written)))
                    if *last + 1 == number
                        && format!("{number:0width$}", width = written.len()) == digits =>
                {
                    (*last, *written) = (number, digits);
                }
                _ => runs.push((digits, (number, digits))),
            }
        }
        let parts: Vec<String> = runs
            .iter()
            .map(|(first, (_, last))| match first == last {
                true => (*first).to_owned(),
                false => format!("{first}-{last}"),
            })
            .collect();
        match parts.as_slice() {
            [] => format!("{before}{after}"),
            [one] if !one.contains('-') => format!("{before}{one}{after}"),
            parts => format!("{before}[{}]{after}", parts.join(",")),
        }
    }
}

/// What stands before, in and behind the last number of a name.
fn parts(name: &str) -> Option<(&str, (u64, &str), &str)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + name[at..].chars().next().map_or(1, char::len_utf8));
    let digits = &name[start..end];
    // A number that is too large for this is none that anybody counts with.
    Some((&name[..start], (digits.parse().ok()?, digits), &name[end..]))
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn names_that_differ_in_a_number_stand_together() {
        let cases = [
            ("db-1 db-2 db-3", "db-[1-3]"),
            ("db-3 web db-1 db-2 db-7", "db-[1-3,7], web"),
            ("db-1", "db-1"),
            ("db-1 db-3", "db-[1,3]"),
            ("127.0.1.9 127.0.1.10 127.0.2.1", "127.0.1.[9-10], 127.0.2.1"),
            ("c07 c08 c09 c10", "c[07-10]"),
            ("c9 c010", "c[9,010]"),
            ("db-1.eu db-2.eu db-1.us", "db-[1-2].eu, db-1.us"),
            ("ä1 ä2", "ä[1-2]"),
            ("1 2", "[1-2]"),
            ("a a", "a, a"),
            ("x99999999999999999999999", "x99999999999999999999999"),
            ("", ""),
        ];
        for (names, wanted) in cases {
            let names: Vec<&str> = names.split_whitespace().collect();
            assert_eq!(folded(&names), wanted, "{names:?}");
        }
    }
}
