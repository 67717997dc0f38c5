//! Takes secrets out of everything that a person, a log or a journal may read.
//!
//! Every sentence of this room passes through here before it leaves: addresses, command words, answers of servers.

/// What stands where a secret stood.
pub const HIDDEN: &str = "***";

/// A word longer than this is cut: it is a document, not a name.
const WORD_CHARS_MAX: usize = 120;
/// A command line longer than this is cut: a sentence must stay a sentence.
const WORDS_CHARS_MAX: usize = 300;
/// A text of a server longer than this is cut, for the same reason.
const TEXT_CHARS_MAX: usize = 300;
/// Shorter secrets are not searched for: they would blank half of every sentence and tell nothing.
const SECRET_CHARS_MIN: usize = 3;

/// Parts of names whose values are secrets.
const SECRET_NAMES: [&str; 8] =
    ["pass", "secret", "token", "credential", "apikey", "api-key", "private", "auth"];

/// Whether a value under this name (flag, header, variable, query key) must not be shown.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name == "cookie" || name == "set-cookie" || SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Shows an address without user, password and secret query values.
pub fn url(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(cut);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    let tail = match tail.split_once('?') {
        Some((path, query)) => format!("{path}?{}", self::query(query)),
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
}

fn query(text: &str) -> String {
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((key, _)) if is_secret_name(key) => format!("{key}={HIDDEN}"),
        Some(_) | None => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Shows the words of a command without the values of secret flags, `--user name:password` among them.
pub fn words(argv: &[String]) -> String {
    let mut shown = Vec::with_capacity(argv.len());
    let mut hide_next = false;
    for word in argv {
        if std::mem::take(&mut hide_next) && !word.starts_with("--") {
            shown.push(user_or_hidden(word));
            continue;
        }
        match word.split_once('=') {
            Some((flag, value)) if carries_secret(flag) => {
                shown.push(format!("{flag}={}", user_or_hidden(value)));
            }
            Some(_) | None => {
                hide_next = word.starts_with('-') && carries_secret(word);
                shown.push(cut(&url(word), WORD_CHARS_MAX));
            }
        }
    }
    cut(&shown.join(" "), WORDS_CHARS_MAX)
}

/// `--user` is no secret by its name, but products take `name:password` there.
fn carries_secret(flag: &str) -> bool {
    let name = flag.trim_start_matches('-');
    is_secret_name(name) || name.ends_with("user") || flag == "-u"
}

fn user_or_hidden(value: &str) -> String {
    match value.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}"),
        None => HIDDEN.to_owned(),
    }
}

/// Shows a foreign text in one line, cut to a sentence's length, with the given secrets taken out.
pub fn text(foreign: &str, secrets: &[&str]) -> String {
    let one_line = foreign.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&hide(&one_line, secrets), TEXT_CHARS_MAX)
}

/// Takes the given secrets out of a text.
pub fn hide(text: &str, secrets: &[&str]) -> String {
    let worth = secrets.iter().filter(|secret| secret.chars().count() >= SECRET_CHARS_MIN);
    worth.fold(text.to_owned(), |text, secret| text.replace(*secret, HIDDEN))
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_user_and_secret_query() {
        let cases = [
            ("http://a:2379/v3", "http://a:2379/v3"),
            ("https://root:pw@a:2379/x?y=1", "https://***@a:2379/x?y=1"),
            ("http://a/x?token=abc&rev=3&Password=p", "http://a/x?token=***&rev=3&Password=***"),
            ("http://u:p@a?x=1", "http://***@a?x=1"),
            ("not an address", "not an address"),
        ];
        for (given, shown) in cases {
            assert_eq!(url(given), shown);
        }
    }

    #[test]
    fn words_lose_values_of_secret_flags() {
        let cases = [
            (vec!["etcdctl", "--user", "root:pw", "get", "k"], "etcdctl --user root:*** get k"),
            (vec!["etcdctl", "--user=root:pw", "get"], "etcdctl --user=root:*** get"),
            (vec!["redis-cli", "--pass", "pw", "PING"], "redis-cli --pass *** PING"),
            (vec!["x", "--auth-token=jwt,key", "y"], "x --auth-token=*** y"),
            (vec!["x", "--token", "--next"], "x --token --next"),
            (vec!["curl", "http://u:p@h/"], "curl http://***@h/"),
        ];
        for (given, shown) in cases {
            let argv: Vec<String> = given.into_iter().map(str::to_owned).collect();
            assert_eq!(words(&argv), shown);
        }
    }

    #[test]
    fn foreign_text_is_one_short_line_without_secrets() {
        assert_eq!(text("bad\n  password hunter2\n", &["hunter2", ""]), "bad password ***");
        assert_eq!(text(&"é".repeat(400), &[]).chars().count(), TEXT_CHARS_MAX + 1);
    }
}
