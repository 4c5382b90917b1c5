//! What a request's head asks for, in its one canonical form; and the target that it is for.

use std::sync::Arc;

use hyper::header::{CONNECTION, HOST, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use wire::http::authority::Claims;
use wire::http::fields::ConnectionOptions;
use wire::http::{Authority, Path, PathError, Query, QueryError, Tolerance, framing};

use super::guarded::misframed;
use super::proxy::{self, Within};
use super::refusal::Refusal;
use super::session::Place;
use super::turning::Turning;
use crate::revision::Active;

/// The port of `https`.
pub(super) const PORT: u16 = 443;

/// A request as it is understood: what is decided on, and what is sent.
pub(super) struct Asked {
    pub(super) method: Method,
    /// Who is asked, as the caller calls it.
    pub(super) authority: Authority,
    /// The path at the target.
    pub(super) path: Path,
    pub(super) query: Query,
    /// What is for Sluice alone of the fields.
    pub(super) options: ConnectionOptions,
    /// The protocol that its connection is to turn to, if so.
    pub(super) turning: Option<Turning>,
    /// Where it leads, if anywhere.
    pub(super) place: Option<Place>,
    /// What the caller has in front of the target's paths.
    pub(super) prefix: Option<Arc<str>>,
}

impl Asked {
    /// Reads a head that came on a connection.
    ///
    /// # Errors
    /// A refusal, if it says nothing or more than one thing.
    pub(super) fn read(parts: &Parts, came: CameOn<'_>, active: &Active) -> Result<Self, Refusal> {
        let fields = &parts.headers;
        if let Some(reason) = misframed(fields) {
            return Err(Refusal::Misframed(StatusCode::BAD_REQUEST, reason));
        }
        framed(parts.version, fields)?;
        let options = ConnectionOptions::parse(fields.get_all(CONNECTION).iter().map(|value| value.as_bytes()));
        let options = options.map_err(|error| malformed(StatusCode::BAD_REQUEST, error));
        if parts.method == Method::CONNECT && came.is_proxy && parts.version < Version::HTTP_2 {
            return Self::connect(parts, options?, active);
        }
        let authority = authority(parts, came.server_name)?;
        if parts.method == Method::CONNECT || parts.method == Method::TRACE {
            return Err(Refusal::Method);
        }
        let options = options?;
        let turning = Turning::read(parts, &options)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default()).map_err(|error| unreadable(&error))?;
        let Found { place, prefix, path } = match came.within {
            Some(within) => within.find(active, &authority, parts.uri.path())?,
            None => find(active, &authority, parts.uri.path())?,
        };
        Ok(Self { method: parts.method.clone(), authority, path, query, options, turning, place, prefix })
    }

    /// Reads what a caller asks to be connected to, of which a path is no part.
    fn connect(parts: &Parts, options: ConnectionOptions, active: &Active) -> Result<Self, Refusal> {
        let authority = proxy::asked_for(parts)?;
        let path = Path::parse("/", Tolerance::default()).map_err(|error| misled(&error))?;
        let query = Query::parse("").map_err(|error| unreadable(&error))?;
        let place = proxy::connected(active, &authority);
        let method = parts.method.clone();
        Ok(Self { method, authority, path, query, options, turning: None, place, prefix: None })
    }

    /// Whether it asks to be connected to the target.
    pub(super) fn connects(&self) -> bool {
        self.method == Method::CONNECT
    }

    /// The path and the query, as the target gets them; or what is asked to be connected to.
    pub(super) fn path_and_query(&self) -> String {
        if self.connects() {
            return self.authority.to_string();
        }
        if self.query.is_empty() { self.path.to_string() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The host, as it stands in a URL.
    pub(super) fn written_host(&self) -> String {
        written(&self.authority)
    }

    /// Whether a safe method is used (RFC 9110, section 9.2.1).
    pub(super) fn is_safe(&self) -> bool {
        self.method.is_safe()
    }
}

/// How a head came.
#[derive(Clone, Copy)]
pub(super) struct CameOn<'a> {
    /// The name that the client asked for in the handshake.
    pub(super) server_name: Option<&'a str>,
    /// What the connection is within, if it is.
    pub(super) within: Option<&'a Within>,
    /// Whether callers are connected to what they ask to be connected to.
    pub(super) is_proxy: bool,
}

/// A host and its port, where that is not the one of `https`.
pub(super) fn written(authority: &Authority) -> String {
    match authority.port {
        PORT => authority.host.to_string(),
        port => format!("{}:{port}", authority.host),
    }
}

pub(super) fn malformed(status: StatusCode, error: impl ToString) -> Refusal {
    Refusal::Malformed(status, error.to_string())
}

fn unreadable(error: &QueryError) -> Refusal {
    let is_long = matches!(error, QueryError::TooLong(_) | QueryError::TooMany);
    malformed(if is_long { StatusCode::URI_TOO_LONG } else { StatusCode::BAD_REQUEST }, error)
}

fn misled(error: &PathError) -> Refusal {
    let is_long = matches!(error, PathError::TooLong(_) | PathError::TooDeep);
    malformed(if is_long { StatusCode::URI_TOO_LONG } else { StatusCode::BAD_REQUEST }, error)
}

/// Whether every reader would take the request to end at the same place.
fn framed(version: Version, fields: &HeaderMap) -> Result<(), Refusal> {
    let spoken = match version {
        Version::HTTP_10 | Version::HTTP_09 => framing::Version::Http10,
        Version::HTTP_11 => framing::Version::Http11,
        _ => framing::Version::Framed,
    };
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    framing::judge(spoken, fields).map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal::Misframed(status, error.to_string())
    })
}

fn authority(parts: &Parts, server_name: Option<&str>) -> Result<Authority, Refusal> {
    if parts.uri.scheme_str().is_some_and(|scheme| scheme != "https") {
        return Err(malformed(StatusCode::BAD_REQUEST, "the request's target is not of https"));
    }
    let hosts: Vec<&[u8]> = parts.headers.get_all(HOST).iter().map(|value| value.as_bytes()).collect();
    let target = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let claims = Claims { target, hosts: &hosts, server_name, default_port: PORT };
    Authority::agreed(&claims)
        .map_err(|error| malformed(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), error))
}

/// Where a request leads.
pub(super) struct Found {
    pub(super) place: Option<Place>,
    pub(super) prefix: Option<Arc<str>>,
    pub(super) path: Path,
}

/// The path of a request at a place, in its one form.
///
/// # Errors
/// A refusal, if it has none.
pub(super) fn path_at(place: Option<&Place>, raw: &str) -> Result<Path, Refusal> {
    Path::parse(raw, place.map(tolerance).unwrap_or_default()).map_err(|error| misled(&error))
}

/// The target of a host, or else of the longest path in front.
fn find(active: &Active, authority: &Authority, raw: &str) -> Result<Found, Refusal> {
    let host = authority.host.trim_matches(['[', ']']);
    if let Some(name) = active.http_hosts.get(host) {
        let place = place_of(active, name);
        let path = path_at(place.as_ref(), raw)?;
        return Ok(Found { place, prefix: None, path });
    }
    // What is in front of a target's paths has nothing in it that is tolerated.
    let whole = Path::parse(raw, Tolerance { encoded_slash: true, semicolon: true }).map_err(|error| misled(&error))?;
    let below = |prefix: &str| {
        whole.as_str().strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(str::to_owned)
    };
    let found = active.http_prefixes.iter().filter_map(|(prefix, name)| Some((prefix, name, below(prefix)?)));
    match found.max_by_key(|(prefix, ..)| prefix.len()) {
        Some((prefix, name, rest)) => {
            let place = place_of(active, name);
            let path = path_at(place.as_ref(), &rest)?;
            Ok(Found { place, prefix: Some(Arc::clone(prefix)), path })
        }
        None => Ok(Found { place: None, prefix: None, path: whole }),
    }
}

fn tolerance(place: &Place) -> Tolerance {
    Tolerance { encoded_slash: place.http.encoded_slash, semicolon: place.http.semicolon }
}

/// Where the target of this name is, if it speaks HTTP.
pub(super) fn place_of(active: &Active, name: &str) -> Option<Place> {
    let target = Arc::clone(active.targets.get(name)?);
    let http = Arc::clone(target.http()?);
    let api = Arc::clone(active.apis.get(name)?);
    let model = Arc::new(target.target.clone());
    let authority = http.authority.clone().unwrap_or_else(|| address(&target, http.tls.mode));
    Some(Place { target, http, model, api, authority })
}

/// What a target is called that has no name of its own: its address, without the port that its scheme has by itself.
fn address(target: &store::config::TargetConfig, tls: store::config::TlsMode) -> Arc<str> {
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.to_string() };
    match (tls, target.port) {
        (store::config::TlsMode::Off, 80) => host.into(),
        (store::config::TlsMode::VerifyFull | store::config::TlsMode::Require, 443) => host.into(),
        (_, port) => format!("{host}:{port}").into(),
    }
}
