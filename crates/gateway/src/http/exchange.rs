//! One request, from its head to the end of its answer.
//!
//! It is a task of its own, which the library that speaks the protocol does not cancel: a caller that goes away is noticed,
//! and what was begun is brought to an end that the journal has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Body, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use identity::dpop::ProofError;
use masking::http::{self as masks, Limits, Opaque, Plan};
use model::class::Labels;
use model::disclosure::Disclosure;
use model::id::RequestId;
use policy::Context;
use store::config::Unread;

use super::admit::{NotAdmitted, admit};
use super::answer::{Answer, Stop, told};
use super::asking::Asked;
use super::connection::{Busy, Connection};
use super::forward::Forwarded;
use super::guarded::Freedom;
use super::identify::{NothingShown, Shown};
use super::kubernetes::{Filter, for_api_server, is_endless, is_of_an_api_server, of_another};
use super::page;
use super::proxy::{self, Connecting};
use super::refusal::{Form, Refusal};
use super::sending::{Given, send};
use super::session::{Changes, End, Place, Running, Session, Standing};
use super::shown::Came;
use super::taping::Taped;
use super::tunnel;
use super::understand::{Asking, Known, exact, looks_into, matter, sent, understand};
use super::upload::{Bounds, Carried};
use crate::clock;
use crate::deciding::{Go, Matter, Refused, Waits, complete, decide_patiently, judge, refuse};
use crate::gate::{ClientExchange, Released};
use crate::issued::sha256;

/// By which field a caller says why it asks.
const REASON: &str = "sluice-reason";
/// How long a reason may be, in bytes.
const MOST_OF_A_REASON: usize = 500;

/// Serves a request that came on a connection.
pub(super) async fn serve(connection: Arc<Connection>, busy: Busy, request: Request<Incoming>, client: ClientExchange) {
    let _busy = busy;
    let (parts, body) = request.into_parts();
    match enter(&connection, &parts).await {
        Ok((ask, session, running)) if ask.connects() => {
            proxy::serve(&connection, Connecting { ask, session, running }, (parts, body), client).await;
        }
        Ok((ask, session, running)) => {
            Exchange::new(&connection, session, running, ask, parts).run(body, client).await;
        }
        Err(NotAdmitted { refusal, reason }) => turn_away(&connection, &parts, client, &refusal, &reason).await,
    }
}

/// Brings a head into its one form, and finds the session that the request belongs to.
async fn enter(connection: &Arc<Connection>, parts: &Parts) -> Result<(Asked, Arc<Session>, Running), NotAdmitted> {
    let refused = |refusal: Refusal| {
        let reason = match &refusal {
            Refusal::Malformed(_, reason) | Refusal::Misframed(_, reason) => reason.clone(),
            Refusal::Method => format!("the method {}", parts.method),
            _ => "another protocol is asked for".to_owned(),
        };
        NotAdmitted::new(refusal, reason)
    };
    let active = connection.node.revisions.current();
    let ask = Asked::read(parts, connection.came(), &active).map_err(refused)?;
    let (session, running) = match &connection.within {
        Some(within) => within.admit(connection, parts, ask.place.clone()).await?,
        None if ask.connects() => {
            proxy::admit_opener(connection, parts, ask.place.clone()).await.map_err(NotAdmitted::by_a_proxy)?
        }
        None => {
            let shown = Shown::of(parts, &ask, connection).map_err(|error| nothing_shown(connection, &error))?;
            let (session, running) = admit(connection, &shown, ask.place.clone()).await?;
            if shown.svid().is_some() {
                let place = &session.standing().place;
                page::may_ask(parts, &ask.authority, place).map_err(NotAdmitted::page)?;
            }
            (session, running)
        }
    };
    Ok((ask, session, running))
}

fn nothing_shown(connection: &Connection, error: &NothingShown) -> NotAdmitted {
    let refusal = match error {
        NothingShown::Proof(ProofError::Nonce) => Refusal::Nonce(connection.shared.proofs.nonce()),
        _ => Refusal::Unauthenticated,
    };
    NotAdmitted::new(refusal, error.to_string())
}

/// Tells a caller that its request belongs to no session.
pub(super) async fn turn_away(
    connection: &Connection,
    parts: &Parts,
    mut client: ClientExchange,
    refusal: &Refusal,
    reason: &str,
) {
    // A caller that is given a nonce has done nothing wrong.
    let was_last = !matches!(refusal, Refusal::Nonce(_)) && connection.refuse(reason);
    let closes =
        parts.version < Version::HTTP_2 && (was_last || refusal.ends_connection() || parts.method == Method::CONNECT);
    let form = Form::of(is_of_an_api_server(parts.uri.path()));
    let (lines, body) = told(refusal, form, &format!("session:{}", connection.id), closes, None);
    // There is no session, and so no tape.
    if client.begin(refusal.status(), Released::untaped(masks::own(&lines))).is_err() {
        return;
    }
    if parts.method != Method::HEAD {
        let _ = client.send(Released::untaped(masks::own(&body))).await;
    }
    client.end().await;
}

/// A request of a session.
pub(super) struct Exchange {
    pub(super) session: Arc<Session>,
    _running: Running,
    pub(super) ask: Asked,
    pub(super) method: Method,
    version: Version,
    pub(super) fields: HeaderMap,
    pub(super) request: RequestId,
    pub(super) number: u32,
    pub(super) body_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) carried: Arc<Carried>,
    /// Told before the connection turns to another protocol.
    pub(super) freedom: Freedom,
    began: Instant,
}

/// How an exchange ended.
pub(super) struct Outcome {
    pub(super) status: Option<StatusCode>,
    pub(super) error: Option<Arc<str>>,
    /// Whether the caller got all that it was to get, though that may say that something failed.
    pub(super) is_whole: bool,
}

impl Outcome {
    /// All was shown, with this status.
    pub(super) fn whole(status: StatusCode) -> Self {
        let is_error = status.is_client_error() || status.is_server_error();
        Self { status: Some(status), error: is_error.then(|| status.as_str().into()), is_whole: true }
    }

    /// It was cut.
    fn cut(status: Option<StatusCode>, stop: &Stop) -> Self {
        Self { status, error: Some(stop.reason()), is_whole: false }
    }
}

/// On what an answer is shown: the tape, the masks, and how the caller came.
pub(super) type Shows<'a> = (&'a Taped, &'a Plan, &'a Came);

/// A caller that waits for an approval, which nothing can be told before its answer begins.
struct Held<'a> {
    client: &'a mut ClientExchange,
    patience: Duration,
}

impl Waits for Held<'_> {
    fn patience(&self) -> Duration {
        self.patience
    }

    async fn tell(&mut self, _: String) {}

    fn gone(&mut self) -> impl Future<Output = ()> + Send {
        self.client.gone()
    }
}

impl Exchange {
    pub(super) fn new(
        connection: &Connection,
        session: Arc<Session>,
        running: Running,
        ask: Asked,
        parts: Parts,
    ) -> Self {
        let mut fields = parts.headers;
        // What HTTP/2 has in front of the fields.
        if let Ok(host) = HeaderValue::from_str(&ask.written_host()) {
            fields.entry(HOST).or_insert(host);
        }
        Self {
            request: session.next_request(),
            number: session.next_exchange(),
            session,
            _running: running,
            ask,
            method: parts.method,
            version: parts.version,
            fields,
            body_timeout: connection.shared.settings.body_timeout,
            idle_timeout: connection.shared.settings.idle_timeout,
            freedom: connection.freedom.clone(),
            carried: Arc::default(),
            began: Instant::now(),
        }
    }

    /// Brings it to its end.
    pub(super) async fn run(self, body: Incoming, mut client: ClientExchange) {
        // From before it is decided, so that no change until the end of the answer is missed.
        let changes = self.session.changes();
        let standing = self.session.standing();
        let place = standing.place.clone();
        let came = Came {
            host: self.ask.authority.clone(),
            prefix: self.ask.prefix.clone(),
            authority: place.authority.clone(),
        };
        let noting = self.plan(&standing, &[]);
        let sent = self.plan(&standing, &sent(&place, &self.ask));
        let taped = Taped::new(&self.session, self.number, place.http.tape_body, &self.fields, &sent);
        let mut given = Given::Coming(body);
        let shows = (&taped, &noting, &came);
        let (go, asked) = match self.decide(&standing, shows, &mut given, &mut client).await {
            Ok(decided) => decided,
            Err(refusal) => return self.refuse(client, shows, &refusal).await,
        };
        let plan = self.plan(&self.session.standing(), &asked.rules);
        let plan = plan.of_messages(asked.request.answer.message().cloned());
        let mut disclosure = Disclosure::default();
        let shows = (&taped, &plan, &came);
        let watching = self.watch(&asked, &plan, changes);
        let answered = match &self.ask.turning {
            Some(turning) => self.turn(turning, (&go, &asked), watching, shows, &mut client, &mut disclosure).await,
            None if self.ask.connects() => self.tunnel(&go, watching, shows, &mut client, &mut disclosure).await,
            None => self.answer((&go, &asked), watching, given, shows, &mut client, &mut disclosure).await,
        };
        let ended = match answered {
            Ok(ended) => ended,
            Err((status, stop)) => self.stopped(&mut client, shows, status, stop).await,
        };
        complete(&self.session.node, &go, disclosure, ended.error.clone());
        taped.ended(ended.status, ended.error.as_deref(), self.began, &self.carried);
        if ended.is_whole {
            client.end().await;
        }
    }

    /// What becomes of bodies with these rules.
    pub(super) fn plan(&self, standing: &Standing, rules: &[model::http::FieldRule]) -> Plan {
        let (labels, context) = (Labels::default(), self.context(standing));
        let bench = standing.bench(&labels);
        let opaque = match standing.place.http.unread {
            Unread::Refuse => Opaque::Refuse,
            Unread::Through => Opaque::Through,
        };
        Plan::new(&standing.lens, rules, opaque, Limits::default(), &mut |asked| bench.reveal(&context, asked))
    }

    fn context<'a>(&'a self, standing: &'a Standing) -> Context<'a> {
        let reason = self.reason();
        Context { reason, ..Context::at_the_start(&standing.subject, self.session.source, clock::now()) }
    }

    /// Why, in the caller's words.
    fn reason(&self) -> Option<&str> {
        let reason = self.fields.get(REASON)?.to_str().ok()?.trim();
        Some(reason).filter(|reason| !reason.is_empty() && reason.len() <= MOST_OF_A_REASON)
    }

    /// How long the caller would wait for an approval (RFC 7240, section 4.3), or else the target's requests do.
    fn patience(&self, place: &Place) -> Duration {
        let preferences = self.fields.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = preferences.flat_map(|value| value.split([',', ';']));
        let wait = preferences.find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let seconds = value.trim().trim_matches('"').parse().ok()?;
            name.trim().eq_ignore_ascii_case("wait").then_some(Duration::from_secs(seconds))
        });
        wait.unwrap_or(place.http.hold)
    }

    fn bounds(&self, place: &Place, taped: &Taped) -> Bounds {
        Bounds {
            most: place.http.max_body,
            silence: self.body_timeout,
            over: self.session.over.clone(),
            carried: Arc::clone(&self.carried),
            taped: taped.clone(),
        }
    }

    /// Understands the request, and decides it. Its body is read first where what it does stands in it, or a human is asked.
    async fn decide(
        &self,
        standing: &Standing,
        (taped, noting, _): Shows<'_>,
        given: &mut Given,
        client: &mut ClientExchange,
    ) -> Result<(Go, Asking), Refusal> {
        let place = &standing.place;
        if let Some(turning) = &self.ask.turning {
            self.may_turn(turning, place)?;
        }
        if self.ask.connects() {
            tunnel::may_be(place)?;
        }
        let bounds = self.bounds(place, taped);
        if let Given::Coming(body) = &*given
            && body.size_hint().lower() > place.http.max_body
        {
            return Err(Refusal::TooLarge(place.http.max_body));
        }
        let asked = if given.is_empty() {
            understand(standing, &self.ask, &self.fields, Known::None)?
        } else if looks_into(place, &self.ask, &self.fields) {
            let body = given.take_whole(place.http.max_inspected_body, &bounds).await?;
            understand(standing, &self.ask, &self.fields, Known::Whole(&body))?
        } else {
            understand(standing, &self.ask, &self.fields, Known::Unread)?
        };
        let target = self.ask.path_and_query();
        let mut asked = asked.hiding(noting);
        taped.asked(self.request, &asked.request.shown, (self.method.as_str(), &target), &self.fields, noting);
        let plan = self.plan(standing, &asked.rules).of_messages(asked.request.answer.message().cloned());
        let traceparent = self.traceparent();
        let (mut exactly, trace, shows) = (Vec::new(), traceparent.as_deref(), plan.delivers_clear());
        let matter = self.matter(&asked, &[], trace, shows);
        let verdict = judge(&*self.session, standing, matter);
        if let Some(denial) = of_another(&asked.request) {
            let refused = Refused::Denied(denial, None);
            return Err(refuse(&*self.session, standing, matter, &verdict, refused).await.into());
        }
        let asks = verdict.outcome();
        if asks == model::decision::Outcome::Ask {
            let body = if given.is_empty() {
                None
            } else {
                let body = given.take_whole(place.http.max_inspected_body, &bounds).await?;
                let sent = self.plan(standing, &sent(place, &self.ask));
                asked = asked.showing(&body, &self.fields, &sent);
                Some(sha256(&body))
            };
            exactly = exact(&self.ask, &self.fields, body.as_ref());
        }
        let exactly: Vec<&str> = exactly.iter().map(String::as_str).collect();
        let (matter, patience) = (self.matter(&asked, &exactly, trace, shows), self.patience(place));
        let go = decide_patiently(&*self.session, matter, &mut Held { client, patience }).await?;
        Ok((go, asked))
    }

    fn matter<'a>(
        &'a self,
        asked: &'a Asking,
        exact: &'a [&'a str],
        traceparent: Option<&'a str>,
        shows: bool,
    ) -> Matter<'a> {
        let (matter, reason) = (matter(self.request, &asked.request, exact), self.reason());
        Matter { told: &asked.told, reason, traceparent, shows, ..matter }
    }

    /// The head that its target gets.
    pub(super) fn forwarded(&self, standing: &Standing, asked: &Asking, plan: &Plan) -> Result<Forwarded, Refusal> {
        let (place, subject) = (&standing.place, &standing.subject);
        let forwarded = Forwarded::new(&self.ask, place, &self.fields, plan);
        let mut forwarded = forwarded.telling(&self.session.node.tokens, place, subject, self.request)?;
        if let Some(settings) = place.kubernetes() {
            let own = (&*self.request.to_string(), &asked.request);
            for_api_server(forwarded.fields_mut(), settings, subject, own, plan)?;
        }
        Ok(forwarded)
    }

    /// How a refusal is told.
    pub(super) fn form(&self) -> Form {
        Form::of(self.session.standing().place.kubernetes().is_some())
    }

    /// The trace that the request is part of (W3C Trace Context, section 3.2).
    fn traceparent(&self) -> Option<String> {
        let text = self.fields.get("traceparent")?.to_str().ok()?;
        let is_plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
        (text.len() == 55 && text.bytes().all(is_plain)).then(|| text.to_owned())
    }

    /// Sends the request, and shows its answer.
    async fn answer(
        &self,
        (go, asked): (&Go, &Asking),
        watching: impl Future<Output = ()>,
        given: Given,
        (taped, plan, came): Shows<'_>,
        client: &mut ClientExchange,
        disclosure: &mut Disclosure,
    ) -> Result<Outcome, (Option<StatusCode>, Stop)> {
        let session = &self.session;
        let standing = session.standing();
        let place = standing.place.clone();
        let forwarded = self.forwarded(&standing, asked, plan).map_err(|refusal| (None, Stop::Refused(refusal)))?;
        let bounds = self.bounds(&place, taped);
        let sent = send(session, go, &place, &forwarded, given, &bounds);
        let response = tokio::select! {
            biased;
            () = session.over.cancelled() => return Err((None, Stop::Cut)),
            sent = sent => sent.map_err(|refusal| (None, Stop::Refused(refusal)))?,
            () = client.gone() => return Err((None, Stop::CallerGone)),
        };
        let (answer, leased) = response;
        let answer = Answer::new(&self.method, answer, plan).map_err(|stop| (None, stop))?;
        let status = answer.status();
        if place.kubernetes().is_some() && status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let refusal = Refusal::BadAnswer("the API server answers with a redirection");
            return Err((Some(status), Stop::Refused(refusal)));
        }
        let answer = if is_endless(&asked.request) { answer.endless() } else { answer };
        let filter = place.kubernetes().filter(|settings| settings.filter && status.is_success());
        let answer = match filter.and_then(|_| Filter::new(session, &asked.request, self.reason())) {
            Some(filter) => answer.filtered(filter).map_err(|stop| (Some(status), stop))?,
            None => answer,
        };
        let request = self.request.to_string();
        let mut showing = self.showing(client, (taped, plan, came), &request);
        let shown = tokio::select! {
            biased;
            () = session.over.cancelled() => Err(Stop::Cut),
            () = watching => Err(Stop::Cut),
            shown = answer.show(&mut showing) => shown,
        };
        disclosure.add(&showing.disclosure);
        shown.map_err(|stop| (Some(status), stop))?;
        session.node.http.give_back(leased);
        Ok(Outcome::whole(status))
    }

    /// Ends when a revision, or other groups, would deny what is answered, or show less of it.
    async fn watch(&self, asked: &Asking, plan: &Plan, mut changes: Changes) {
        let session = &self.session;
        loop {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            let standing = session.standing();
            let is_denied = judge(&**session, &standing, self.matter(asked, &[], None, false)).denial().is_some()
                || self.ask.connects() && tunnel::may_be(&standing.place).is_err();
            let now = self.plan(&standing, &asked.rules);
            if is_denied || now.hides_more_than(plan) {
                return;
            }
        }
    }

    /// Ends what does not go on: with words, if nothing was said yet.
    async fn stopped(
        &self,
        client: &mut ClientExchange,
        shows: Shows<'_>,
        status: Option<StatusCode>,
        stop: Stop,
    ) -> Outcome {
        if stop == Stop::Refused(Refusal::NotRecorded) {
            // A tape that failed takes nothing more.
            self.session.end(End::Withheld("what was to be shown cannot be recorded"));
        }
        let refusal = match &stop {
            _ if client.has_begun() => None,
            Stop::Refused(refusal) => Some(self.carried.stopped().unwrap_or_else(|| refusal.clone())),
            Stop::Cut => Some(Refusal::Gone),
            Stop::CallerGone => None,
        };
        let Some(refusal) = refusal else { return Outcome::cut(status, &stop) };
        match self.say(client, shows, &refusal).await {
            Ok(()) => {
                let whole = Outcome::whole(refusal.status());
                Outcome { error: refusal.recorded().or(whole.error), ..whole }
            }
            Err(stop) => Outcome::cut(None, &stop),
        }
    }

    /// Ends what was not let go on.
    async fn refuse(&self, mut client: ClientExchange, shows: Shows<'_>, refusal: &Refusal) {
        let told = self.say(&mut client, shows, refusal).await;
        let status = told.is_ok().then(|| refusal.status());
        shows.0.ended(status, Some("refused"), self.began, &self.carried);
        if told.is_ok() {
            client.end().await;
        }
    }

    async fn say(&self, client: &mut ClientExchange, shows: Shows<'_>, refusal: &Refusal) -> Result<(), Stop> {
        let request = self.request.to_string();
        let closes = self.version < Version::HTTP_2 && (refusal.ends_connection() || self.ask.connects());
        let has_body = self.method != Method::HEAD;
        let mut showing = self.showing(client, shows, &request);
        showing.refuse(refusal, closes, has_body).await
    }
}
