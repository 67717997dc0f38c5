//! Nodes that get the same treatment, told once: what differs from node to node becomes a word that a loop fills in.
//!
//! Invariant: with its own values in the place of the words, a folded text is what it was for each node, letter by letter, and
//! for a shell, too. What cannot be folded like that is told node by node.

use quorate_model::{Node, NodeName};
use std::collections::BTreeMap;

/// The letter that stands for the first word; private to whoever uses it, and in no text of ours.
const FIRST_MARK: u32 = 0xE000;

/// A word of the loop, and what it is for each node.
struct Field {
    word: String,
    values: BTreeMap<NodeName, String>,
}

/// What differs between the nodes of one group.
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// Name, host and addresses, as far as nodes differ in them.
    pub(super) fn of(nodes: &[&Node], hosts: impl Fn(&Node) -> Option<String>) -> Self {
        let mut fields = Self(Vec::new());
        fields.add("NODE", nodes, |node| Some(node.name.to_string()));
        fields.add("HOST", nodes, hosts);
        let mut purposes: Vec<&str> =
            nodes.iter().flat_map(|node| node.endpoints.keys().map(String::as_str)).collect();
        purposes.sort_unstable();
        purposes.dedup();
        for purpose in purposes {
            let authority = |node: &Node| {
                let (_, rest) = node.endpoints.get(purpose)?.split_once("://")?;
                Some(rest.split('/').next().unwrap_or(rest).to_owned())
            };
            let port = |node: &&Node| authority(node).and_then(|all| port_of(&all));
            let same_port = nodes.windows(2).all(|two| port(&two[0]) == port(&two[1]));
            let host = |node: &Node| {
                let all = authority(node)?;
                Some(all.rsplit_once(':').map_or(all.clone(), |(host, _)| host.to_owned()))
            };
            let word = match fields.0.iter().any(|field| field.word == "ADDRESS") {
                false => "ADDRESS".to_owned(),
                true => format!("{}_ADDRESS", purpose.to_uppercase().replace('-', "_")),
            };
            if same_port {
                fields.add(&word, nodes, host);
            } else {
                fields.add(&word, nodes, authority);
            }
        }
        fields
    }

    /// Keeps a word that is known of every node and plain, and that tells what no other one does.
    fn add(&mut self, word: &str, nodes: &[&Node], value: impl Fn(&Node) -> Option<String>) {
        let values = nodes.iter().map(|node| Some((node.name.clone(), value(node)?)));
        let Some(values) = values.collect::<Option<BTreeMap<_, _>>>() else { return };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/".contains(c);
        let is_plain =
            |text: &String| !text.is_empty() && !text.starts_with('-') && text.chars().all(plain);
        let differs =
            nodes.len() == 1 || values.values().any(|v| Some(v) != values.values().next());
        let is_new = self.0.iter().all(|known| known.values != values);
        let is_word = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_word && is_new && (differs || word == "NODE") && values.values().all(is_plain) {
            self.0.push(Field { word: word.to_owned(), values });
        }
    }

    /// The words of the loop, in the order of a line.
    pub(super) fn words(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|field| field.word.as_str()).collect();
        words.join(" ")
    }

    /// A node's own line.
    pub(super) fn line(&self, node: &NodeName) -> String {
        let values: Vec<&str> =
            self.0.iter().filter_map(|field| field.values.get(node)).map(String::as_str).collect();
        values.join(" ")
    }

    /// A text of a node with marks in the place of what is its own; longer values before those that they hold.
    pub(super) fn mark(&self, node: &NodeName, text: &str) -> String {
        let own = self.0.iter().enumerate();
        let mut own: Vec<(char, &str)> = own
            .filter_map(|(at, field)| Some((mark_of(at)?, field.values.get(node)?.as_str())))
            .collect();
        own.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        own.iter().fold(text.to_owned(), |text, (mark, value)| replaced(&text, value, *mark))
    }

    /// A marked text for people.
    pub(super) fn for_people(&self, text: &str) -> String {
        text.chars().fold(String::new(), |mut out, letter| {
            match self.word_of(letter) {
                Some(word) => out.extend(["$", word]),
                None => out.push(letter),
            }
            out
        })
    }

    /// A marked text for a shell; none where the marks stand in something that is not to be seen through.
    pub(super) fn for_shell(&self, text: &str) -> Option<String> {
        let letters: Vec<char> = text.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        while let Some(letter) = letters.get(at) {
            let rest = &letters[at..];
            let starts_word = at == 0 || letters[at - 1].is_whitespace();
            let part = match letter {
                '\\' => rest.len().min(2),
                '\'' => quoted(rest, '\'')?,
                '"' => quoted(rest, '"')?,
                '#' if starts_word => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
                _ => 1,
            };
            let (part, after) = rest.split_at(part);
            out.push_str(&self.shell_part(part, after.first())?);
            at += part.len();
        }
        Some(out)
    }

    /// One letter, one pair of quotes with what is in it, or one comment.
    fn shell_part(&self, part: &[char], next: Option<&char>) -> Option<String> {
        let text: String = part.iter().collect();
        if !part.iter().any(|letter| self.word_of(*letter).is_some()) {
            return Some(text);
        }
        let inner = part.get(1..part.len().saturating_sub(1)).unwrap_or_default();
        let is_special = |letter: &char| "\"$`\\!".contains(*letter);
        match part.first()? {
            '\'' if inner.iter().any(is_special) => {
                let opened = |letter: &char| match self.word_of(*letter) {
                    Some(word) => format!("'\"${word}\"'"),
                    None => letter.to_string(),
                };
                Some(part.iter().map(opened).collect())
            }
            // What a command says inside of double quotes has quotes of its own.
            '"' if text.contains("$(") || text.contains('`') || text.contains('\\') => None,
            '\'' | '"' => Some(format!("\"{}\"", self.expanded(inner, None))),
            _ => Some(self.expanded(part, next)),
        }
    }

    fn expanded(&self, letters: &[char], after: Option<&char>) -> String {
        let mut out = String::new();
        for (at, letter) in letters.iter().enumerate() {
            let next = letters.get(at + 1).or(after);
            let goes_on = next.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
            match self.word_of(*letter) {
                Some(word) if goes_on => out.push_str(&format!("${{{word}}}")),
                Some(word) => out.extend(["$", word]),
                None => out.push(*letter),
            }
        }
        out
    }

    fn word_of(&self, letter: char) -> Option<&str> {
        let at = usize::try_from(u32::from(letter).checked_sub(FIRST_MARK)?).ok()?;
        self.0.get(at).map(|field| field.word.as_str())
    }
}

fn mark_of(at: usize) -> Option<char> {
    char::from_u32(FIRST_MARK + u32::try_from(at).ok()?)
}

fn port_of(authority: &str) -> Option<String> {
    authority.rsplit_once(':').map(|(_, port)| port.to_owned())
}

/// How many letters a pair of quotes holds, itself included; none when it is not closed.
fn quoted(letters: &[char], quote: char) -> Option<usize> {
    let mut at = 1;
    while let Some(letter) = letters.get(at) {
        match letter {
            '\\' if quote == '"' => at += 1,
            letter if *letter == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whole words alone: `c1` is not in `c10`, nor in `abc1`.
fn replaced(text: &str, value: &str, mark: char) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        let part_of_more = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        out.push_str(before);
        if part_of_more(out.chars().next_back()) || part_of_more(after.chars().next()) {
            let first = value.chars().next().map_or(value.len(), char::len_utf8);
            out.push_str(&rest[at..at + first]);
            rest = &rest[at + first..];
        } else {
            out.push(mark);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Host;
    use std::process::Command;

    fn node(name: &str, address: &str) -> Node {
        Node {
            name: name.into(),
            group: "client".into(),
            host: Host::Local,
            endpoints: [("client".to_owned(), format!("http://{address}"))].into(),
            data_dir: None,
            service: None,
        }
    }

    /// What a shell makes of the folded text with this node's values.
    fn typed(fields: &Fields, node: &Node, text: &str) -> String {
        let folded = fields.for_shell(&fields.mark(&node.name, text)).unwrap();
        let script = format!(
            "read -r {} <<'END'\n{}\nEND\n{folded}",
            fields.words(),
            fields.line(&node.name)
        );
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn a_shell_reads_the_folded_text_as_the_one_of_each_node() {
        let nodes = [node("c1", "10.0.0.1:80"), node("c10", "10.0.0.10:80")];
        let fields = Fields::of(&nodes.iter().collect::<Vec<_>>(), |_| None);
        assert_eq!(fields.words(), "NODE ADDRESS");
        let texts = |name: &str, at: &str| {
            [
                format!("echo /run/{name}.pid {name} {name}_x http://{at}:80 c11 xc1 c100"),
                format!("echo 'of {name} at {at}' \"{name} at {at}\" 'it'\\''s $HOME of {name}'"),
                format!("echo '{name}_1 \"{name}\"' # {name}'s own\necho {name}"),
            ]
        };
        let [one, ten] = [texts("c1", "10.0.0.1"), texts("c10", "10.0.0.10")];
        for (of_one, of_ten) in one.iter().zip(&ten) {
            let marked = [fields.mark(&nodes[0].name, of_one), fields.mark(&nodes[1].name, of_ten)];
            assert_eq!(marked[0], marked[1], "told once");
            for (node, text) in nodes.iter().zip([of_one, of_ten]) {
                let plain = Command::new("sh").args(["-c", text]).output().expect("a shell");
                assert_eq!(typed(&fields, node, text), String::from_utf8_lossy(&plain.stdout));
            }
        }
    }

    #[test]
    fn what_has_quotes_of_its_own_is_not_folded() {
        let nodes = [node("c1", "a:1"), node("c2", "b:1")];
        let fields = Fields::of(&nodes.iter().collect::<Vec<_>>(), |_| None);
        let shell = |text: &str| fields.for_shell(&fields.mark(&nodes[0].name, text));
        assert_eq!(shell("echo \"$(say 'of c1')\""), None);
        assert_eq!(shell("echo 'c1"), None, "nor what has no end");
        assert_eq!(shell("echo \"$state/c1\"").as_deref(), Some("echo \"$state/$NODE\""));
    }

    #[test]
    fn ports_that_differ_are_part_of_the_address() {
        let nodes = [node("c1", "127.0.0.1:31001"), node("c2", "127.0.0.1:31002")];
        let fields = Fields::of(&nodes.iter().collect::<Vec<_>>(), |_| None);
        assert_eq!(fields.line(&nodes[1].name), "c2 127.0.0.1:31002");
    }
}
