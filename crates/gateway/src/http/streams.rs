//! What Kubernetes streams on a connection that has turned: programs that run in a container (`exec`, `attach`), and ports of a
//! pod (`portforward`).
//!
//! | spoken | by |
//! |---|---|
//! | `v5.channel.k8s.io`, `v4.channel.k8s.io`: messages of WebSocket that begin with the number of a channel | `channels` |
//! | SPDY/3.1: a stream for each channel, by old clients | `spdy` |
//! | SPDY/3.1 within messages of WebSocket (`SPDY/3.1+portforward.k8s.io`), or without: two streams for each connection to a port | `ports` |
//!
//! What a program shows is masked by its content, standard output and standard error apart, and recorded like what SSH carries
//! (`command`). What goes to a port and comes from it has no form that is known here: it is counted, and its digest is on the
//! tape.

mod channels;
pub(super) mod command;
pub(super) mod ports;
mod spdy;

use effects::kubernetes::{RequestInfo, command_line, is_true};
use effects::ssh::Carries;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use wire::websocket::Handshake;

use super::asking::Asked;
use super::refusal::Refusal;
use super::session::Place;
use super::turning::Turning;

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// By which field the form of SPDY's streams is settled (k8s.io/apimachinery, pkg/util/httpstream).
const VERSION: &str = "x-stream-protocol-version";

/// What is streamed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// What a program in a container is told and says.
    Command {
        /// What that is, as far as its words tell.
        carries: Carries,
    },
    /// Connections to ports of a pod.
    Ports,
}

/// How it is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speaks {
    /// By channels of WebSocket; whether one can be closed by itself (v5).
    Channels { closes: bool },
    /// By streams of SPDY; within messages of WebSocket, or not.
    Spdy { is_within: bool },
}

impl Kind {
    /// What a request to an API server asks to be streamed, if it is one that is known.
    pub(super) fn of(ask: &Asked, place: &Place) -> Option<Self> {
        place.kubernetes()?;
        let info = RequestInfo::of(ask.method.as_str(), ask.path.as_str(), ask.query.pairs())?;
        if !info.is_resource || info.resource != "pods" || info.parts.len() != 3 {
            return None;
        }
        match info.subresource.as_str() {
            "exec" => Some(Self::Command { carries: carries(ask, true) }),
            "attach" => Some(Self::Command { carries: carries(ask, false) }),
            "portforward" => Some(Self::Ports),
            _ => None,
        }
    }

    /// What of the offered protocols is known, and goes on.
    ///
    /// # Errors
    /// If nothing of it is.
    pub(super) fn offered(&self, turning: &Turning) -> Result<Turning, Refusal> {
        let Turning::WebSocket(handshake) = turning else { return Ok(Turning::Spdy) };
        let known: &[&str] = if *self == Self::Ports { &[TUNNEL] } else { &[V5, V4] };
        let offered = handshake.protocols.iter().filter(|name| known.contains(&&***name)).cloned();
        let protocols: Vec<Box<str>> = offered.collect();
        if protocols.is_empty() {
            let why = format!("of Sec-WebSocket-Protocol {} is spoken here", known.join(", "));
            return Err(Refusal::Malformed(StatusCode::BAD_REQUEST, why));
        }
        Ok(Turning::WebSocket(Handshake { key: handshake.key.clone(), protocols }))
    }

    /// How it is spoken, by what both sides said.
    ///
    /// # Errors
    /// If the target has chosen nothing that was offered.
    pub(super) fn spoken(
        &self,
        chosen: Option<&str>,
        asked: &HeaderMap,
        answered: &HeaderMap,
    ) -> Result<Speaks, Refusal> {
        match (chosen, self) {
            (Some(V5), Self::Command { .. }) => return Ok(Speaks::Channels { closes: true }),
            (Some(V4), Self::Command { .. }) => return Ok(Speaks::Channels { closes: false }),
            (Some(TUNNEL), Self::Ports) => return Ok(Speaks::Spdy { is_within: true }),
            (Some(_), _) => return Err(Refusal::BadAnswer("the target chooses a protocol that is not spoken here")),
            (None, _) => {}
        }
        let known: &[&str] = if *self == Self::Ports {
            &["portforward.k8s.io"]
        } else {
            &["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io"]
        };
        let said = |fields: &HeaderMap| {
            let values = fields.get_all(VERSION).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
            values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        };
        match said(answered).as_slice() {
            [one] if known.contains(&one.as_str()) && said(asked).contains(one) => {
                Ok(Speaks::Spdy { is_within: false })
            }
            _ => Err(Refusal::BadAnswer("the target chooses a protocol that is not spoken here")),
        }
    }
}

/// What a program tells and says: of `attach` nothing is known but whether it has a terminal.
fn carries(ask: &Asked, is_exec: bool) -> Carries {
    let pairs = ask.query.pairs();
    let tty = pairs.iter().find(|(name, _)| **name == *"tty");
    if tty.is_some_and(|(_, value)| is_true(value.as_deref().unwrap_or_default())) {
        return Carries::Terminal;
    }
    if !is_exec {
        return Carries::Text;
    }
    let words = pairs.iter().filter(|(name, _)| **name == *"command");
    let words: Vec<&str> = words.map(|(_, value)| value.as_deref().unwrap_or_default()).collect();
    if is_copy(&words) {
        return Carries::Files;
    }
    let line = command_line(pairs);
    match line.and_then(|line| effects::ssh::exec(line.as_bytes(), false).ok()).map(|request| request.carries) {
        Some(Carries::Files) => Carries::Files,
        _ => Carries::Text,
    }
}

/// Whether it is what `kubectl cp` runs, and nothing else: an archive is damaged by a mask in it.
fn is_copy(words: &[&str]) -> bool {
    let is_plain = |word: &str| !word.starts_with('-');
    match words {
        ["tar", "cf", "-", from] => is_plain(from),
        ["tar", "-xmf", "-", to @ ..] | ["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-", to @ ..] => {
            matches!(to, []) || matches!(to, ["-C", to] if is_plain(to))
        }
        _ => false,
    }
}

/// Nothing more of a side is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    WebSocket(#[from] wire::websocket::Violation),
    #[error(transparent)]
    Spdy(#[from] wire::spdy::Violation),
    #[error("a channel is used that there is not, or that is the other side's")]
    Channel,
    #[error("something follows what was said to be the end")]
    AfterEnd,
    #[error("the size of a terminal is malformed")]
    Size,
    #[error("a stream is opened as it must not be")]
    Open,
    #[error("more is said than is read")]
    TooMuch,
}

/// What is said to a target.
#[derive(Debug)]
pub(super) enum Onward {
    Nothing,
    /// A message of WebSocket.
    Message(wire::websocket::Message),
    /// Bytes as they are.
    Bytes(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_copies_files_carries_them() {
        let copies = ["tar cf - /var/log", "tar -xmf - -C /tmp", "tar --no-same-permissions --no-same-owner -xmf -"];
        for line in copies {
            assert!(is_copy(&line.split(' ').collect::<Vec<_>>()), "{line}");
        }
        for line in
            ["tar -xOf x", "tar cf - -T /etc/shadow", "tar cf - --checkpoint=1", "tar", "tarry cf - a", "tar tvf x"]
        {
            assert!(!is_copy(&line.split(' ').collect::<Vec<_>>()), "{line}");
        }
        assert!(!is_copy(&["tar", "cf", "-", "a", "b"]));
    }
}
