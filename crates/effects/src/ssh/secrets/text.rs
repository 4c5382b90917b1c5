//! Secrets by what stands around them in a text.

use super::MARK;

/// Where these end a name, the value of that name is a secret.
const NAMES: [&str; 18] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "accesskey",
    "access-key",
    "access_key",
    "secret-key",
    "secret_key",
    "private_key",
    "credential",
    "credentials",
    "pwd",
];

/// Headers whose value is one.
const HEADERS: [&str; 8] = [
    "authorization:",
    "proxy-authorization:",
    "cookie:",
    "x-api-key:",
    "x-auth-token:",
    "private-token:",
    "x-vault-token:",
    "x-amz-security-token:",
];

/// What a secret of a well-known maker begins with, and how long it is at least.
const PREFIXES: [(&str, usize); 14] = [
    ("ghp_", 30),
    ("gho_", 30),
    ("ghs_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("sk-", 30),
    ("sk_live_", 20),
    ("rk_live_", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("AKIA", 20),
    ("hvs.", 20),
    ("eyJ", 40),
    ("-----BEGIN", 20),
];

/// Whether a variable, option or parameter of this name holds a secret: `PGPASSWORD`, `db-password`, `access_token`.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !matches!(name.as_str(), "pwd" | "oldpwd")
        && (NAMES.iter().any(|known| name.ends_with(known)) || matches!(name.as_str(), "pass" | "mysql_pwd"))
}

pub(super) fn with_mark(before: &str, separator: &str) -> String {
    format!("{before}{separator}{MARK}")
}

/// The word as it may be shown; `None` where it is as it was.
pub(super) fn mask_word(word: &str) -> Option<String> {
    if let Some((name, value)) = word.split_once('=')
        && !value.is_empty()
        && names_a_secret(name.strip_suffix('+').unwrap_or(name))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte))
    {
        return Some(with_mark(name, "="));
    }
    if PREFIXES.iter().any(|(prefix, length)| word.starts_with(prefix) && word.len() >= *length) {
        return Some(MARK.to_owned());
    }
    let masked = in_header(word).unwrap_or_else(|| word.to_owned());
    let masked = in_statements(&in_pairs(&in_query(&in_address(&masked))));
    (masked != word).then_some(masked)
}

/// A text that is not understood, with everything hidden from the first place that may hold a secret.
pub(in super::super) fn mask_text(text: &str) -> String {
    let mut offset = 0_usize;
    let mut words: Vec<(usize, &str)> = Vec::new();
    for piece in text.split(|character: char| character.is_whitespace() || ";|&()<>'\"`".contains(character)) {
        if !piece.is_empty() {
            words.push((offset, piece));
        }
        // Every separator is looked for as one character, whatever its length.
        let behind = offset.saturating_add(piece.len());
        let separator = text.get(behind..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        offset = behind.saturating_add(separator);
    }
    let is_suspect = |word: &str| {
        let lower = word.to_ascii_lowercase();
        NAMES.iter().chain(&HEADERS).any(|known| lower.contains(known))
            || lower.contains("pass")
            || lower.contains("://")
            || PREFIXES.iter().any(|(prefix, _)| word.contains(prefix))
            || ["-p", "-a", "-w", "-P", "-k", "-U", "-u", "-K"].iter().any(|letter| word.starts_with(letter))
            || mask_word(word).is_some()
    };
    match words.iter().find(|(_, word)| is_suspect(word)) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}{MARK}", text.get(..*at).unwrap_or_default()),
    }
}

fn in_header(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let (at, header) = HEADERS.iter().find_map(|header| Some((lower.find(header)?, header)))?;
    let end = at.saturating_add(header.len());
    Some(format!("{} {MARK}", word.get(..end)?))
}

/// `scheme://user:password@host`.
fn in_address(word: &str) -> String {
    let found = || {
        let start = word.find("://")?.saturating_add(3);
        let rest = word.get(start..)?;
        let authority = rest.split(['/', '?', '#', ' ', '\'', '"']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        let after = rest.get(user.len()..)?;
        Some(format!("{}{name}:{MARK}{after}", word.get(..start)?))
    };
    found().unwrap_or_else(|| word.to_owned())
}

/// `?access_token=…&…`.
fn in_query(word: &str) -> String {
    if !word.contains(['?', '&']) {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    for piece in word.split_inclusive(['?', '&']) {
        let (body, end) = match piece.strip_suffix(['?', '&']) {
            Some(body) => (body, piece.get(body.len()..).unwrap_or_default()),
            None => (piece, ""),
        };
        match body.split_once('=') {
            Some((name, _)) if names_a_secret(name) => out.push_str(&with_mark(name, "=")),
            _ => out.push_str(body),
        }
        out.push_str(end);
    }
    out
}

/// `host=db password=…`, as one word.
fn in_pairs(word: &str) -> String {
    if !word.contains(' ') {
        return word.to_owned();
    }
    let pieces = word.split(' ').map(|piece| match piece.split_once('=') {
        Some((name, value)) if !value.is_empty() && !value.starts_with(['\'', '"']) && names_a_secret(name) => {
            with_mark(name, "=")
        }
        _ => piece.to_owned(),
    });
    pieces.collect::<Vec<_>>().join(" ")
}

/// `PASSWORD '…'` and `IDENTIFIED BY '…'` of SQL, wherever it stands.
fn in_statements(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = next_secret_literal(rest) {
        let (before, literal) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let Some(quote) = literal.chars().next() else { break };
        let end = end_of_literal(literal, quote);
        out.push(quote);
        out.push_str(MARK);
        out.push(quote);
        rest = literal.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Where the literal behind one of the words begins, that is, its quote.
fn next_secret_literal(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0_usize;
    loop {
        let rest = lower.get(from..)?;
        let found =
            ["password", "identified by"].iter().filter_map(|word| Some(rest.find(word)?.saturating_add(word.len())));
        let end = from.saturating_add(found.min()?);
        let behind = lower.get(end..)?;
        let trimmed = behind.trim_start_matches([' ', '\t', '\n', '=', '(']);
        if trimmed.starts_with(['\'', '"']) {
            return Some(end.saturating_add(behind.len()).saturating_sub(trimmed.len()));
        }
        from = end;
    }
}

/// Behind the literal's closing quote; a doubled quote belongs to it.
fn end_of_literal(literal: &str, quote: char) -> usize {
    let mut at = 1_usize;
    while let Some(found) = literal.get(at..).and_then(|rest| rest.find(quote)) {
        at = at.saturating_add(found).saturating_add(1);
        match literal.get(at..).and_then(|rest| rest.chars().next()) {
            Some(next) if next == quote => at = at.saturating_add(1),
            _ => return at,
        }
    }
    literal.len()
}
