//! What callers ask to be connected to, who name Sluice as their proxy (`CONNECT`, RFC 9110, section 9.3.6).
//!
//! That is a target of this revision, by a name that callers have for it or by its own address, or nothing. By default Sluice is
//! the server of the connection, with a certificate of its CA for the very host, and what is asked in it is decided, masked and
//! recorded like all else, as asked by whoever opened it. A target with `tunnel` is connected to as it is, once that is decided:
//! see `tunnel`.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use masking::http as masks;
use wire::http::Authority;
use wire::http::authority::{AuthorityError, Claims};

use super::admit::{NotAdmitted, admit};
use super::asking::{Asked, Found, PORT, malformed, path_at, place_of};
use super::connection::{self, Connection};
use super::exchange::{Exchange, turn_away};
use super::identify::Shown;
use super::page;
use super::refusal::Refusal;
use super::session::{Place, Running, Session};
use crate::gate::{ClientExchange, Released};
use crate::revision::Active;
use crate::tls::Leaves;

/// What a connection is within that Sluice is the server of: who asked for it, and what for.
pub(super) struct Within {
    authority: Authority,
    session: Arc<Session>,
}

/// A request to be connected, of somebody who may use the target.
pub(super) struct Connecting {
    pub(super) ask: Asked,
    pub(super) session: Arc<Session>,
    pub(super) running: Running,
}

/// The host and the port that are asked for: both, and nothing else (RFC 9112, section 3.2.3).
///
/// # Errors
/// A refusal, if they are not there, or the request has a body.
pub(super) fn asked_for(parts: &Parts) -> Result<Authority, Refusal> {
    let refused = |why: &str| Refusal::Misframed(StatusCode::BAD_REQUEST, why.to_owned());
    let fields = &parts.headers;
    let has_length = fields.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if has_length || fields.contains_key(TRANSFER_ENCODING) {
        return Err(refused("a request to be connected has a body"));
    }
    let target = parts.uri.authority().filter(|_| parts.uri.scheme().is_none() && parts.uri.path_and_query().is_none());
    let target = target.filter(|target| target.port().is_some());
    let target = target.ok_or_else(|| refused("a request to be connected names a host and a port"))?;
    let hosts: Vec<&[u8]> = fields.get_all(HOST).iter().map(|value| value.as_bytes()).collect();
    let target = Some(target.as_str().as_bytes());
    // The handshake was for Sluice, and not for what is asked for.
    Authority::agreed(&Claims { target, hosts: &hosts, server_name: None, default_port: PORT })
        .map_err(|error| malformed(StatusCode::BAD_REQUEST, error))
}

/// The target that a caller means by what it asks to be connected to: of a name that callers have for it, with the port of
/// `https` or its own; or of its own address, where no other one has it too.
pub(super) fn connected(active: &Active, authority: &Authority) -> Option<Place> {
    if let Some(name) = active.http_hosts.get(authority.host.trim_matches(['[', ']'])) {
        let is_port = |place: &Place| authority.port == PORT || authority.port == place.target.port;
        return place_of(active, name).filter(is_port);
    }
    let mut at = active
        .targets
        .values()
        .filter(|target| target.http().is_some() && target.port == authority.port && authority.is_host(&target.host));
    match (at.next(), at.next()) {
        (Some(only), None) => place_of(active, &only.target.name),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

/// The session of whoever asks to be connected.
///
/// # Errors
/// Why there is none.
pub(super) async fn admit_opener(
    connection: &Arc<Connection>,
    parts: &Parts,
    place: Option<Place>,
) -> Result<(Arc<Session>, Running), NotAdmitted> {
    let shown = Shown::of_proxy(parts, connection).map_err(NotAdmitted::unknown)?;
    admit(connection, &shown, place).await
}

impl Within {
    /// Where a request leads that came in the connection: to what it was asked for, as long as that leads there.
    ///
    /// # Errors
    /// A refusal, if it is for another host, or its path has more than one meaning.
    pub(super) fn find(&self, active: &Active, authority: &Authority, raw: &str) -> Result<Found, Refusal> {
        let name = &self.session.standing().place.model.name;
        let place = connected(active, authority).filter(|place| place.model.name == *name);
        if *authority != self.authority || place.is_none() {
            return Err(malformed(StatusCode::MISDIRECTED_REQUEST, AuthorityError::OtherConnection));
        }
        let path = path_at(place.as_ref(), raw)?;
        Ok(Found { place, prefix: None, path })
    }

    /// The session that a request in the connection belongs to: that of whoever a token in it stands for, or else of whoever
    /// opened the connection.
    pub(super) async fn admit(
        &self,
        connection: &Arc<Connection>,
        parts: &Parts,
        place: Option<Place>,
    ) -> Result<(Arc<Session>, Running), NotAdmitted> {
        let shown = Shown::within(&parts.headers, &connection.node.issuers).map_err(NotAdmitted::unknown)?;
        if let Some(shown) = shown {
            return admit(connection, &shown, place).await;
        }
        page::may_ask(parts, &self.authority, &self.session.standing().place).map_err(NotAdmitted::page)?;
        let running = self.session.begin().ok_or_else(|| NotAdmitted::gone("the session ends"))?;
        Ok((Arc::clone(&self.session), running))
    }

    /// Ends when whoever opened the connection may not use the target any more. Cancel safe.
    pub(super) async fn over(&self) {
        self.session.over.cancelled().await;
    }
}

/// Connects a caller to what it asked for, or to Sluice in its place.
pub(super) async fn serve(
    connection: &Arc<Connection>,
    connecting: Connecting,
    (parts, body): (Parts, Incoming),
    client: ClientExchange,
) {
    let Connecting { ask, session, running } = connecting;
    let is_tunnel = session.standing().place.http.tunnel;
    match &connection.shared.leaves {
        _ if is_tunnel => Exchange::new(connection, session, running, ask, parts).run(body, client).await,
        Some(leaves) => {
            let within = Within { authority: ask.authority, session };
            if let Err((refusal, client)) = intercept(connection, leaves, within, client).await {
                turn_away(connection, &parts, client, &refusal, "there is no certificate for the host").await;
            }
            drop(running);
        }
        None => {
            let reason = "the target has no `tunnel`, and `listen.http.forward` has no CA";
            turn_away(connection, &parts, client, &Refusal::Method, reason).await;
        }
    }
}

/// Answers a caller as if it were connected, and serves what it asks there. The refusal, if it cannot be answered.
async fn intercept(
    connection: &Arc<Connection>,
    leaves: &Leaves,
    within: Within,
    mut client: ClientExchange,
) -> Result<(), (Refusal, ClientExchange)> {
    let shown = match leaves.of(within.authority.host.trim_matches(['[', ']'])) {
        Ok(shown) => shown,
        Err(error) => {
            tracing::error!(session = %within.session.id, %error, "no certificate can be shown for a target");
            return Err((Refusal::Internal, client));
        }
    };
    connection.freedom.grant();
    let limit = connection.node.config.limits.login_timeout;
    // Nothing of it is said by a target, or about one.
    let carrying = tokio::time::timeout(limit, client.carry(Released::untaped(masks::own("")))).await;
    if let Ok(Ok(carrying)) = carrying {
        connection::serve_within(connection, within, carrying, shown).await;
    }
    Ok(())
}
