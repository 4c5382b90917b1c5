//! What lines of SSH do, as a file to be reviewed, and what no line can do to the analyser.
//!
//! `UPDATE_GOLDEN=1 cargo test -p effects --test ssh` writes the file anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt::Write;

use effects::ssh::{Carries, MOST_OF_A_LINE, Request, exec};
use model::effect::{Effect, Object, Verb};
use model::event::Shown;
use proptest::prelude::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ssh/lines.txt");

/// A line break inside a line of the file.
const BREAK: char = '␤';

fn done(line: &str) -> Request {
    exec(line.as_bytes(), false).unwrap()
}

fn described(line: &str) -> String {
    let request = done(&line.replace(BREAK, "\n"));
    let mut out = format!("$ {line}\n");
    for effect in &request.effects {
        writeln!(out, "    {effect}").unwrap();
    }
    if let Some(why) = &request.facts.opaque {
        writeln!(out, "    why: {why}").unwrap();
    }
    if request.carries != Carries::Text {
        writeln!(out, "    carries: {:?}", request.carries).unwrap();
    }
    out
}

fn lines(file: &str) -> Vec<&str> {
    file.lines().filter_map(|line| line.strip_prefix("$ ").or((line == "$").then_some(""))).collect()
}

#[test]
fn sh_08_lines_do_what_was_reviewed() {
    let expected = std::fs::read_to_string(FILE).unwrap();
    let found: String = expected
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("    "))
        .map(|line| match line.strip_prefix("$ ") {
            Some(line) => described(line.trim_end_matches('\n')),
            None => line.to_owned(),
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(FILE, &found).unwrap();
    }
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {FILE}", number + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    assert!(lines(&expected).len() >= 150, "{}", lines(&expected).len());
}

fn is_consistent(line: &[u8]) {
    let request = exec(line, false).unwrap();
    assert!(!request.effects.is_empty());
    let is_opaque = request.effects.contains(&Effect::new(Verb::Opaque, Object::Login));
    assert_eq!(is_opaque, request.facts.opaque.is_some());
    // An entry of the journal has room for it.
    let shown = |value: &Shown| match value {
        Shown::Clear(text) => text.len() + 4,
        Shown::Null | Shown::Masked(_) | Shown::Length(_) => 12,
    };
    assert!(request.values.iter().map(shown).sum::<usize>() < 60_000);
    let size = |effect: &Effect| match &effect.object {
        Object::Command(command) => {
            assert!(!command.program.is_empty());
            command.line.len()
                + command.program.len()
                + command.arguments.iter().map(|word| word.len() + 3).sum::<usize>()
        }
        Object::File(path) => {
            assert!(path.starts_with('/') || path.starts_with('~'), "{path}");
            assert!(path.split('/').skip(1).all(|name| !matches!(name, "." | "..")), "{path}");
            path.len() + 4
        }
        _ => 4,
    };
    let effects: usize = request.effects.iter().map(size).sum();
    assert!(effects + request.statement.len() < 65_000, "{effects}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_are_something(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        is_consistent(&line);
    }

    #[test]
    fn arbitrary_shell_is_something(
        line in proptest::collection::vec(
            prop_oneof![
                Just(" "), Just(";"), Just("|"), Just("&&"), Just("("), Just(")"), Just("$("), Just("`"), Just("'"), Just("\""),
                Just("{"), Just("}"), Just("if"), Just("then"), Just("fi"), Just("case"), Just("in"), Just("esac"), Just("<<E"),
                Just("\n"), Just("rm"), Just("sh -c"), Just("sudo"), Just("xargs"), Just("env"), Just("find"), Just("-exec"),
                Just("$x"), Just("${x"), Just("\\"), Just(">"), Just("a=b"), Just("-pC4NARY"), Just("é"), Just("for"), Just("do"),
            ],
            0..40,
        ),
    ) {
        is_consistent(line.concat().as_bytes());
        is_consistent(line.join(" ").as_bytes());
    }

    /// Quoting a word differently changes nothing of what it is.
    #[test]
    fn quotes_do_not_hide_a_program(cuts in proptest::collection::vec(0_usize..4, 2)) {
        let quote = |letter: char, how: usize| match how {
            0 => letter.to_string(),
            1 => format!("'{letter}'"),
            2 => format!("\"{letter}\""),
            _ => format!("\\{letter}"),
        };
        let line = format!("{}{} -rf /", quote('r', cuts[0]), quote('m', cuts[1]));
        let effects = done(&line).effects.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(effects, ["ssh:exec command rm -rf /"]);
    }
}

#[test]
fn too_long_is_an_error_and_long_is_opaque() {
    assert_eq!(exec(&vec![b'a'; MOST_OF_A_LINE + 1], false).unwrap_err().length, MOST_OF_A_LINE + 1);
    for line in ["a".repeat(MOST_OF_A_LINE), "a;".repeat(MOST_OF_A_LINE / 2), "a ".repeat(MOST_OF_A_LINE / 2)] {
        is_consistent(line.as_bytes());
        assert!(done(&line).facts.opaque.is_some());
    }
}

#[test]
fn what_is_nested_deeply_is_opaque_at_once() {
    let pairs = [
        ("(", ")"),
        ("$(", ")"),
        ("{ ", "; }"),
        ("`", "`"),
        ("if ", "; then a; fi"),
        ("${x:-", "}"),
        ("[[ ( ", ")"),
        ("! ", ""),
    ];
    for (open, close) in pairs {
        for depth in [30, 1000, 3000] {
            let line = format!("{}a{}", open.repeat(depth), close.repeat(depth));
            is_consistent(line.as_bytes());
            if depth > 30 {
                assert!(done(&line).facts.opaque.is_some(), "{open}");
            }
        }
    }
    let mut line = "rm x".to_owned();
    for _ in 0..12 {
        line = format!("sh -c '{}'", line.replace('\'', r"'\''"));
    }
    assert!(line.len() > MOST_OF_A_LINE || done(&line).facts.opaque.is_some());
}

/// LK-04: the canary is in nothing that is recorded or shown, wherever in the line it stands.
#[test]
fn lk_04_no_secret_of_a_line_is_recorded() {
    for line in [
        "mysql -pC4NARY db < /srv/a.sql",
        "PGPASSWORD=C4NARY psql -h db",
        "export DB_PASSWORD='C4NARY'; run",
        "sh -c 'mysql -pC4NARY db'",
        "sudo -u app sh -c \"sh -c 'mysqldump --password=C4NARY db'\" | gzip",
        "echo C4NARY | sudo -S id",
        "echo 'ann:C4NARY' | chpasswd",
        "printf '%s' C4NARY | docker login --password-stdin",
        "curl -H 'Authorization: Bearer C4NARY' https://x",
        "curl -u \"a:C4NARY\" https://x; rm b",
        "git clone https://ann:C4NARY@host/r.git",
        "x=$(vault login C4NARY) run",
        "run \"$(mysql -pC4NARY -e 'select 1')\"",
        "cat > /etc/app.env <<E\nDB_PASSWORD=C4NARY\nE",
        "passwd --stdin ann <<< C4NARY",
        "if mysql -pC4NARY; then a; fi",
        "eval mysql -pC4NARY",
        "find / -exec mysql -pC4NARY \\;",
        "env PASSWORD=C4NARY sh -c 'a'",
        "mysql -pC4NARY \"unterminated",
        "mysql --password \"C4NARY and more",
        "A=é mysql -pC4NARY ö",
        "mysql -p'C4NARY' db",
        "psql -c \"ALTER ROLE x PASSWORD 'C4NARY'\"",
    ] {
        let request = done(line);
        let all = format!("{request:?}");
        assert!(!all.contains("C4NARY"), "{line}: {all}");
        assert!(request.shown.contains("[secret]"), "{line}: {}", request.shown);
    }
    let request = done("mysql -pC4NARY db; rm /srv/a");
    assert_eq!(request.shown, "mysql -p[secret] db; rm /srv/a");
    assert_eq!(request.statement, "mysql $1 $2 ; rm $3");
    assert_eq!(request.values[1..], [Shown::Clear("db".into()), Shown::Clear("/srv/a".into())]);
}

#[test]
fn the_statement_is_the_line_without_its_literals() {
    for (line, statement) in [
        ("rm -rf /srv/a", "rm $1 $2"),
        ("rm -rf '/srv/a b'", "rm $1 $2"),
        ("cat a | sort -n 2>/dev/null && rm b", "cat $1 | sort $2 2 > $3 && rm $4"),
        ("for f in a b; do rm $f; done", "for $1 in $2 $3 ; do rm $4 ; done"),
        ("A=b run x", "$1 run $2"),
        ("sudo rm a", "sudo rm $1"),
        ("rm a\nrm b", "rm $1 ; rm $2"),
        ("\"unterminated", "$1"),
    ] {
        assert_eq!(done(line).statement, statement, "{line}");
    }
}

#[test]
fn a_terminal_is_said() {
    let request = exec(b"top", true).unwrap();
    let Object::Command(command) = &request.effects[0].object else { panic!("{:?}", request.effects) };
    assert!(command.interactive && request.carries == Carries::Terminal);
    assert!(exec(b"\xff", true).unwrap().facts.opaque.is_some());
    assert!(exec(b"a\0b", false).unwrap().facts.opaque.is_some());
}
