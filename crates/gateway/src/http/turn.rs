//! A request for another protocol, from its decision to the end of what its connection turned into.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::response;
use masking::http::{Change, Head};
use model::disclosure::Disclosure;

use super::answer::{Answer, REQUEST, Showing, Stop};
use super::exchange::{Exchange, Outcome, Shows};
use super::page;
use super::refusal::Refusal;
use super::sending::turn;
use super::session::Place;
use super::socket::{Limits, Socket};
use super::streams::{Kind, command, ports};
use super::turning::{Turning, is_of_handshake};
use super::understand::Asking;
use crate::deciding::Go;
use crate::gate::{ClientExchange, Reads, TargetStream, Turn};

impl Exchange {
    /// Whether the page that asks may.
    pub(super) fn origin(&self) -> Result<Option<HeaderValue>, Refusal> {
        page::origin(&self.fields, &self.ask.authority, &self.session.standing().place)
    }

    /// Whether a connection to this place turns to what is asked for.
    ///
    /// # Errors
    /// A refusal, if it does not.
    pub(super) fn may_turn(&self, turning: &Turning, place: &Place) -> Result<(), Refusal> {
        self.origin()?;
        match Kind::of(&self.ask, place) {
            Some(kind) => kind.offered(turning).map(drop),
            None if place.kubernetes().is_some() || *turning == Turning::Spdy => Err(Refusal::Upgrade),
            None => Ok(()),
        }
    }

    /// Asks the target to turn to another protocol, and relays what both sides say then; or shows the answer, if it does not.
    pub(super) async fn turn(
        &self,
        turning: &Turning,
        (go, asked): (&Go, &Asking),
        watching: impl Future<Output = ()>,
        shows: Shows<'_>,
        client: &mut ClientExchange,
        disclosure: &mut Disclosure,
    ) -> Result<Outcome, (Option<StatusCode>, Stop)> {
        let session = &self.session;
        let standing = session.standing();
        let place = &standing.place;
        let refused = |refusal| (None, Stop::Refused(refusal));
        let origin = self.origin().map_err(refused)?;
        let kind = Kind::of(&self.ask, place);
        let turning =
            &kind.as_ref().map_or_else(|| Ok(turning.clone()), |kind| kind.offered(turning)).map_err(refused)?;
        let forwarded = self.forwarded(&standing, asked, shows.1).map_err(refused)?;
        let forwarded = forwarded.turning(turning, origin);
        let turned = tokio::select! {
            biased;
            () = session.over.cancelled() => return Err((None, Stop::Cut)),
            turned = turn(session, go, place, &forwarded) => turned.map_err(refused)?,
            () = client.gone() => return Err((None, Stop::CallerGone)),
        };
        match turned {
            Turn::Answered(answer) => {
                let answer = Answer::new(&self.method, answer, shows.1).map_err(|stop| (None, stop))?;
                let status = answer.status();
                if place.kubernetes().is_some() && status.is_redirection() {
                    return Err((
                        Some(status),
                        Stop::Refused(Refusal::BadAnswer("the API server answers with a redirection")),
                    ));
                }
                let request = self.request.to_string();
                let mut showing = self.showing(client, shows, &request);
                let shown = tokio::select! {
                    biased;
                    () = session.over.cancelled() => Err(Stop::Cut),
                    () = watching => Err(Stop::Cut),
                    shown = answer.show(&mut showing) => shown,
                };
                disclosure.add(&showing.disclosure);
                shown.map(|()| Outcome::whole(status)).map_err(|stop| (Some(status), stop))
            }
            Turn::Turned(parts, reads, stream) => {
                let target = (reads, stream);
                let stage = (turning, kind.as_ref(), go, asked);
                self.turned(stage, watching, shows, client, (&parts, target), disclosure).await
            }
        }
    }

    async fn turned(
        &self,
        (turning, kind, go, asked): (&Turning, Option<&Kind>, &Go, &Asking),
        watching: impl Future<Output = ()>,
        shows: Shows<'_>,
        client: &mut ClientExchange,
        (parts, target): (&response::Parts, (Reads, TargetStream)),
        disclosure: &mut Disclosure,
    ) -> Result<Outcome, (Option<StatusCode>, Stop)> {
        let refused = |refusal| (None, Stop::Refused(refusal));
        let (told, chosen) = turning.taken_up(&parts.headers).map_err(refused)?;
        let speaks = kind.map(|kind| kind.spoken(chosen.as_deref(), &self.fields, &parts.headers)).transpose();
        let speaks = speaks.map_err(refused)?;
        let stopped = |stop: Stop| (Some(parts.status), stop);
        let fields = self.head(&told, &parts.headers, shows).map_err(stopped)?;
        let not_recorded = |_| stopped(Stop::Refused(Refusal::NotRecorded));
        let released = shows.0.head(parts.status, fields).map_err(not_recorded)?;
        self.freedom.grant();
        let turned = tokio::time::timeout(self.body_timeout, client.turn(released)).await;
        let turned = turned.map_err(|_| stopped(Stop::CallerGone))?;
        let (reads, stream, disclosed) = turned.map_err(|gone| stopped(gone.into()))?;
        disclosure.add(&disclosed);
        let standing = self.session.standing();
        let noting = self.plan(&standing, &[]);
        let limits = Limits {
            message: standing.place.http.max_message,
            most: standing.place.http.max_body,
            silence: self.body_timeout,
            idle: self.idle_timeout,
        };
        let socket = Socket {
            session: &self.session,
            go,
            taped: shows.0,
            plan: shows.1,
            noting: &noting,
            carried: &self.carried,
            limits,
        };
        let (caller, change) = ((reads, stream), disclosure);
        let error = match (kind, speaks) {
            (Some(Kind::Command { carries }), Some(speaks)) => {
                command::serve(&socket, (self.number, *carries, speaks), caller, target, watching, change).await
            }
            (Some(Kind::Ports), Some(speaks)) => {
                ports::serve(&socket, asked, speaks, caller, target, watching, change).await
            }
            (None, _) | (Some(_), None) => socket.serve(caller, target, watching, change).await,
        };
        Ok(Outcome { status: Some(parts.status), error, is_whole: true })
    }

    /// The fields that the caller is told the turn with.
    fn head(
        &self,
        told: &[(HeaderName, HeaderValue)],
        given: &HeaderMap,
        (_, plan, came): Shows<'_>,
    ) -> Result<masking::Masked, Stop> {
        let passing = came.passing(given);
        let passing = passing.ok_or(Stop::Refused(Refusal::BadAnswer("the target's answer has malformed fields")))?;
        let request = self.request.to_string();
        let passing = passing.iter().filter(|(name, _)| !is_of_handshake(name) && name.as_str() != "content-length");
        let fields = passing.map(|(name, value)| (name, value)).chain(told.iter().map(|(name, value)| (name, value)));
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let fields = fields.chain([(REQUEST, request.as_bytes())]);
        Ok(Head::new(plan, Change::Same, fields).into_masked())
    }

    /// What shows an answer to this request.
    pub(super) fn showing<'a>(
        &self,
        client: &'a mut ClientExchange,
        (taped, plan, came): Shows<'a>,
        request: &'a str,
    ) -> Showing<'a> {
        let (silence, disclosure) = (self.body_timeout, Disclosure::default());
        Showing { client, taped, plan, came, request, silence, form: self.form(), disclosure }
    }
}
