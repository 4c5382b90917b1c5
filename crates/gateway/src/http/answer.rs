//! An answer on its way to the caller: its fields and its body masked, on the tape, and only then shown.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Method, Response, StatusCode};
use masking::http::{Body, Head, Plan, Unmaskable};
use masking::{Masked, http as masks};
use model::disclosure::Disclosure;
use tokio::time::Instant;

use super::kubernetes::Filter;
use super::refusal::{Form, Refusal};
use super::shown::Came;
use super::taping::Taped;
use super::upload::passing as passing_trailers;
use crate::gate::{ClientExchange, Gone, Released};

/// The field by which a caller finds its request in the record.
pub(super) const REQUEST: &str = "sluice-request";

/// Why an answer does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It cannot be shown: the caller is told so, unless it began already.
    Refused(Refusal),
    /// The caller is not there any more.
    CallerGone,
    /// The session ended, or a revision denies it.
    Cut,
}

impl Stop {
    fn unmaskable(error: Unmaskable) -> Self {
        Self::Refused(Refusal::Unmaskable(error.client_message()))
    }

    /// For the journal.
    pub(super) fn reason(&self) -> Arc<str> {
        match self {
            Self::Refused(refusal) => refusal.status().as_u16().to_string().into(),
            Self::CallerGone => "the caller went away".into(),
            Self::Cut => "cut off".into(),
        }
    }
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Gate(_) => Self::Refused(Refusal::Internal),
            Gone::Closed | Gone::NotOpened => Self::CallerGone,
        }
    }
}

/// The answer of a target, before anything of it is shown.
pub(super) struct Answer {
    parts: Parts,
    /// What comes of it; `None` where it has no body.
    body: Option<Incoming>,
    masked: Body,
    /// Whether what is shown does not wait for what comes next.
    is_stream: bool,
    /// Whether it may be silent for long.
    is_endless: bool,
    /// What leaves parts of it out, before it is masked.
    filter: Option<Filter>,
}

/// How long an answer may be silent that goes on for as long as something happens: as long as API servers let one last.
const LONG_SILENCE: Duration = Duration::from_secs(3600);

/// What shows an answer.
pub(super) struct Showing<'a> {
    pub(super) client: &'a mut ClientExchange,
    pub(super) taped: &'a Taped,
    pub(super) plan: &'a Plan,
    pub(super) came: &'a Came,
    /// The request's id, for the caller.
    pub(super) request: &'a str,
    pub(super) silence: Duration,
    /// How a refusal is told.
    pub(super) form: Form,
    /// What was shown so far gives away.
    pub(super) disclosure: Disclosure,
}

impl Answer {
    /// Takes an answer, if it can be masked by this plan.
    ///
    /// # Errors
    /// A refusal, if it cannot be, or is none.
    pub(super) fn new(method: &Method, response: Response<Incoming>, plan: &Plan) -> Result<Self, Stop> {
        let (parts, body) = response.into_parts();
        if parts.status.is_informational() {
            // 101 to a request that asked for no other protocol; others the library does not give.
            return Err(Stop::Refused(Refusal::BadAnswer("the target answers as nobody asked it to")));
        }
        plan.admits(parts.status.as_u16()).map_err(Stop::unmaskable)?;
        let all = |name: HeaderName| {
            let values = parts.headers.get_all(name).iter();
            values.map(HeaderValue::as_bytes).collect::<Vec<_>>()
        };
        let has_body =
            *method != Method::HEAD && !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = Some(body).filter(|body| has_body && !hyper::body::Body::is_end_stream(body));
        let (types, codings) = (all(CONTENT_TYPE), all(CONTENT_ENCODING));
        let masked = match Body::new(&types, &codings, plan) {
            Ok(masked) => masked,
            // There is nothing in it that could not be masked.
            Err(_) if body.is_none() => Body::new(&[b"text/plain"], &[], plan).map_err(Stop::unmaskable)?,
            Err(error) => return Err(Stop::unmaskable(error)),
        };
        let is_stream =
            types.iter().any(|value| value.starts_with(b"text/event-stream") || value.starts_with(b"application/grpc"));
        Ok(Self { parts, body, masked, is_stream, is_endless: false, filter: None })
    }

    /// As one that goes on for as long as something happens, and is shown from its head on.
    pub(super) fn endless(self) -> Self {
        Self { is_stream: true, is_endless: true, ..self }
    }

    /// As one that parts are left out of.
    ///
    /// # Errors
    /// A refusal, if it cannot be read so.
    pub(super) fn filtered(self, filter: Filter) -> Result<Self, Stop> {
        Filter::admits(&self.parts.headers).map_err(Stop::unmaskable)?;
        Ok(Self { filter: Some(filter), ..self })
    }

    /// What becomes of its bytes.
    fn change(&self) -> masks::Change {
        if self.filter.is_some() { masks::Change::Rewritten } else { self.masked.change() }
    }

    /// Its status.
    pub(super) const fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// Shows all of it. Cancel safe in that whatever is not shown then never is.
    pub(super) async fn show(mut self, showing: &mut Showing<'_>) -> Result<(), Stop> {
        if self.body.is_none() || self.is_stream {
            self.begin(showing)?;
        }
        while let Some(frame) = self.next(showing.silence).await? {
            match frame.into_data() {
                Ok(bytes) => {
                    let kept = self.filter.as_mut().map(|filter| filter.push(&bytes));
                    let kept = kept.transpose().map_err(Stop::unmaskable)?;
                    let kept = kept.as_deref().unwrap_or(&bytes);
                    let masked = self.masked.push(kept).map_err(Stop::unmaskable)?;
                    self.begin(showing)?;
                    showing.body(masked).await?;
                }
                Err(frame) => {
                    self.end_body(showing).await?;
                    let trailers = passing_trailers(frame.into_trailers().unwrap_or_default());
                    return showing.trailers(&trailers, self.change()).await;
                }
            }
        }
        if self.body.is_some() {
            self.end_body(showing).await?;
        }
        Ok(())
    }

    async fn next(&mut self, silence: Duration) -> Result<Option<hyper::body::Frame<Bytes>>, Stop> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let silence = if self.is_endless { LONG_SILENCE } else { silence };
        let broken = |reason| Stop::Refused(Refusal::BadAnswer(reason));
        match tokio::time::timeout_at(Instant::now() + silence, body.frame()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => Ok(Some(frame)),
            Ok(Some(Err(_))) => Err(broken("the target's answer broke off")),
            Err(_) => Err(broken("the target's answer does not go on")),
        }
    }

    async fn end_body(&mut self, showing: &mut Showing<'_>) -> Result<(), Stop> {
        if let Some(filter) = &mut self.filter {
            filter.end().map_err(Stop::unmaskable)?;
        }
        let masked = self.masked.end().map_err(Stop::unmaskable)?;
        self.begin(showing)?;
        showing.body(masked).await
    }

    /// Shows the head, unless that was done.
    fn begin(&self, showing: &mut Showing<'_>) -> Result<(), Stop> {
        if showing.client.has_begun() {
            return Ok(());
        }
        let passing = showing.came.passing(&self.parts.headers);
        let passing = passing.ok_or(Stop::Refused(Refusal::BadAnswer("the target's answer has malformed fields")))?;
        let fields = passing.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let fields = fields.chain([(REQUEST, showing.request.as_bytes())]);
        let head = Head::new(showing.plan, self.change(), fields).into_masked();
        // Of gRPC an answer without messages has to end with its head.
        showing.head(self.parts.status, head, self.body.is_none())
    }
}

impl Showing<'_> {
    fn head(&mut self, status: StatusCode, fields: Masked, is_alone: bool) -> Result<(), Stop> {
        let released = self.taped.head(status, fields).map_err(not_recorded)?;
        let disclosed = match is_alone {
            true => self.client.begin_alone(status, released)?,
            false => self.client.begin(status, released)?,
        };
        self.disclosure.add(&disclosed);
        Ok(())
    }

    async fn body(&mut self, masked: Masked) -> Result<(), Stop> {
        if masked.bytes().is_empty() && masked.disclosure().classes.is_empty() {
            return Ok(());
        }
        let released: Released = self.taped.answer(masked).map_err(not_recorded)?;
        // A caller that takes nothing for so long is as good as gone.
        let sent = tokio::time::timeout(self.silence, self.client.send(released)).await;
        self.disclosure.add(&sent.map_err(|_| Stop::CallerGone)??);
        Ok(())
    }

    /// A digest of what the target sent tells nobody of what was hidden in it.
    async fn trailers(&mut self, trailers: &HeaderMap, change: masks::Change) -> Result<(), Stop> {
        let fields = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let fields = Head::new(self.plan, change, fields).into_masked();
        let released = self.taped.trailers(fields).map_err(not_recorded)?;
        let sent = tokio::time::timeout(self.silence, self.client.send_trailers(released)).await;
        self.disclosure.add(&sent.map_err(|_| Stop::CallerGone)??);
        Ok(())
    }

    /// Tells the caller that it is refused, as long as nothing was shown.
    pub(super) async fn refuse(&mut self, refusal: &Refusal, closes: bool, has_body: bool) -> Result<(), Stop> {
        let instance = format!("request:{}", self.request);
        let (lines, body) = told(refusal, self.form, &instance, closes, Some(self.request));
        self.head(refusal.status(), masks::own(&lines), !has_body)?;
        if has_body { self.body(masks::own(&body)).await } else { Ok(()) }
    }
}

fn not_recorded(_: &'static str) -> Stop {
    Stop::Refused(Refusal::NotRecorded)
}

/// The fields, in lines, and the body by which a refusal is told.
pub(super) fn told(
    refusal: &Refusal,
    form: Form,
    instance: &str,
    closes: bool,
    request: Option<&str>,
) -> (String, String) {
    let (mut fields, body) = refusal.answer(instance, form);
    fields.extend(request.map(|request| (REQUEST, request.to_owned())));
    if closes {
        fields.push(("connection", "close".to_owned()));
    }
    (fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect(), body)
}
