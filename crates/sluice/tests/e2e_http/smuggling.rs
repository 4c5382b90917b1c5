//! Requests that two readers would end at two places, in front of servers that people run.

use anyhow::{Context, Result};
use testkit::api::Api;
use testkit::http_servers::{Kind, Server};
use testkit::wait::eventually_blocking;

use crate::ground::{CALLER, Ground, Tuning};
use crate::support::LIMIT;
use crate::wire::Wire;

/// Behind each of them: it must never be a request of its own.
const SMUGGLED: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nX: ";

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// What stands in a head, and behind it. Each is refused with 400, and the connection ends.
fn refused() -> Vec<(&'static str, String)> {
    let ended = "0\r\n\r\n";
    let coding = |value: &str| format!("Transfer-Encoding:{value}\r\n\r\n{ended}");
    vec![
        ("CL.TE", format!("Content-Length: 4\r\n{CHUNKED}\r\n{ended}")),
        ("TE.CL", format!("{CHUNKED}Content-Length: 4\r\n\r\n{ended}")),
        ("TE.CL with an expectation", format!("Expect: 100-continue\r\n{CHUNKED}Content-Length: 4\r\n\r\n{ended}")),
        ("TE.TE", format!("{CHUNKED}Transfer-Encoding: identity\r\n\r\n{ended}")),
        ("TE.TE of another case", format!("{CHUNKED}transfer-encoding: x\r\n\r\n{ended}")),
        ("twice", format!("{CHUNKED}{CHUNKED}\r\n{ended}")),
        ("a list", coding(" chunked, chunked")),
        ("behind another", coding(" gzip, chunked")),
        ("in front of another", coding(" chunked, identity")),
        ("another coding", coding(" xchunked")),
        ("a vertical tab", coding(" \u{b}chunked")),
        ("a quoted one", coding(" \"chunked\"")),
        ("a parameter", coding(" chunked;q=1")),
        ("a no-break space", coding(" \u{a0}chunked")),
        ("none", coding("")),
        ("a space in front of the colon", format!("Transfer-Encoding : chunked\r\n\r\n{ended}")),
        ("a tab in front of the colon", format!("Transfer-Encoding\t: chunked\r\n\r\n{ended}")),
        ("a line that goes on", format!("Transfer-Encoding:\r\n chunked\r\n\r\n{ended}")),
        ("a line that begins with a space", format!(" {CHUNKED}\r\n{ended}")),
        ("a line feed", format!("X: a\n{CHUNKED}\r\n{ended}")),
        ("a line feed at the end of the head", format!("{CHUNKED}\n{ended}")),
        ("a carriage return", format!("X: a\r{CHUNKED}\r\n{ended}")),
        ("a nul", format!("X: a\0\r\n{CHUNKED}\r\n{ended}")),
        ("a nul in the name", format!("Transfer-Encoding\0: chunked\r\n\r\n{ended}")),
        ("two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde".into()),
        ("one length twice", "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd".into()),
        ("a list of lengths", "Content-Length: 4, 4\r\n\r\nabcd".into()),
        ("a sign", "Content-Length: +4\r\n\r\nabcd".into()),
        ("less than nothing", "Content-Length: -4\r\n\r\nabcd".into()),
        ("hexadecimal", "Content-Length: 0x4\r\n\r\nabcd".into()),
        ("a fraction", "Content-Length: 4.0\r\n\r\nabcd".into()),
        ("more than there is", "Content-Length: 18446744073709551620\r\n\r\nabcd".into()),
        ("a length that is nothing", "Content-Length:\r\n\r\nabcd".into()),
        ("a folded line", "X: a\r\n Content-Length: 4\r\n\r\nabcd".into()),
    ]
}

/// What stands in a head that passes, and a body that breaks off.
const BROKEN: [(&str, &str); 9] = [
    ("less than nothing", "-1\r\n\r\n"),
    ("a prefix", "0x5\r\nabcde\r\n0\r\n\r\n"),
    ("a space in front", " 5\r\nabcde\r\n0\r\n\r\n"),
    ("more than there is", "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n"),
    ("a line feed", "5\nabcde\r\n0\r\n\r\n"),
    ("a line feed in an extension", "5;a\nb\r\nabcde\r\n0\r\n\r\n"),
    ("a carriage return in an extension", "5;a\rb\r\nabcde\r\n0\r\n\r\n"),
    ("more than was said", "4\r\nabcde\r\n0\r\n\r\n"),
    ("a line feed behind", "5\r\nabcde\n0\r\n\r\n"),
];

/// A server, and what it took for requests.
enum Behind {
    Real(Server),
    Node,
}

impl Behind {
    fn requests(&self, api: &Api) -> Result<Vec<String>> {
        match self {
            Self::Real(server) => server.requests(),
            Self::Node => Ok(api.reached()?.iter().map(|one| format!("{} {}", one.method, one.path)).collect()),
        }
    }
}

fn each(test: impl Fn(&Ground, &Behind) -> Result<()>) -> Result<()> {
    for kind in [None, Some(Kind::Nginx), Some(Kind::Go)] {
        let behind = kind.map_or(Ok(Behind::Node), |kind| Server::start(kind).map(Behind::Real))?;
        let address = match &behind {
            Behind::Real(server) => Some(server.address().to_string()),
            Behind::Node => None,
        };
        let ground = Ground::tuned(Tuning { address, ..Tuning::default() })?;
        test(&ground, &behind).with_context(|| format!("{kind:?}"))?;
        let requests = behind.requests(&ground.api)?;
        assert!(!requests.iter().any(|line| line.contains("hidden")), "{kind:?}: {requests:?}");
    }
    Ok(())
}

fn bytes(ground: &Ground, version: &str, rest: &str) -> Result<Vec<u8>> {
    let token = ground.token("erin", CALLER)?;
    let head = format!("POST /echo HTTP/{version}\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
    Ok(format!("{head}{rest}{SMUGGLED}").into_bytes())
}

#[test]
fn sm_13_a_head_that_two_readers_end_at_two_places_is_400_and_the_end() -> Result<()> {
    each(|ground, behind| {
        for (name, rest) in refused() {
            let said = Wire::connect(ground)?.exchange(&bytes(ground, "1.1", &rest)?)?;
            assert_eq!(said.status, 400, "{name}: {said:?}");
            assert_eq!(said.text.matches("HTTP/1.1 ").count(), 1, "{name}: {said:?}");
            assert!(said.text.contains("application/problem+json"), "{name}: {said:?}");
        }
        let said = Wire::connect(ground)?.exchange(&bytes(ground, "1.0", &format!("{CHUNKED}\r\n0\r\n\r\n"))?)?;
        assert_eq!(said.status, 400, "{said:?}");
        assert_eq!(behind.requests(&ground.api)?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn sm_13_a_body_that_is_not_framed_never_ends() -> Result<()> {
    each(|ground, behind| {
        for (name, body) in BROKEN {
            let said = Wire::connect(ground)?.exchange(&bytes(ground, "1.1", &format!("{CHUNKED}\r\n{body}"))?)?;
            assert!(said.status == 400 || said.status == 0, "{name}: {said:?}");
            assert!(said.text.matches("HTTP/1.1 ").count() <= 1, "{name}: {said:?}");
        }
        let taken = behind.requests(&ground.api)?;
        assert!(taken.iter().all(|line| line.contains("/echo")), "{taken:?}");
        Ok(())
    })
}

#[test]
fn sm_13_what_is_a_body_is_a_body_and_the_next_request_is_the_next() -> Result<()> {
    each(|ground, behind| {
        let token = ground.token("erin", CALLER)?;
        let smuggled = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut wire = Wire::connect(ground)?;
        let length = smuggled.len();
        for framing in [
            format!("Content-Length: {length}\r\n\r\n{smuggled}"),
            format!("{CHUNKED}\r\n{length:x};x=y\r\n{smuggled}\r\n0\r\nX-Last: 1\r\n\r\n"),
            format!("content-length:  {length} \t\r\n\r\n{smuggled}"),
        ] {
            let head = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
            wire.say(format!("{head}{framing}").as_bytes())?;
            let answer = wire.hear_answer()?;
            assert!(answer.starts_with("HTTP/1.1 200"), "{framing}: {answer}");
        }
        // A server may note what it answered a moment later.
        eventually_blocking(LIMIT, "three requests", || Ok((behind.requests(&ground.api)?.len() == 3).then_some(())))
    })
}
