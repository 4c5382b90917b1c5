//! Who may do and see what, and why: `gateway::access_map`, asked for the subjects that the record knows, or for one that
//! somebody thinks of.
//!
//! It is worked out on threads that may block, by few at a time, for so long, and not any longer than somebody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::IntoResponse;
use gateway::access_map::{Asker, Known, PlaceAccess, Summary, look, places, summary};
use gateway::clock;
use gateway::node::Node;
use gateway::postgres::structure;
use gateway::revision::Active;
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use policy::{AdminVerb, policy_texts};
use serde::{Deserialize, Serialize};
use store::audit::{FoundSubject, SubjectSearch};
use store::config::TargetConfig;
use tokio::sync::Semaphore;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::input::Params;
use crate::problem::Problem;
use crate::shape;

/// How many subjects are answered for at once, unless said otherwise and at most.
const SUBJECTS: u32 = 20;
const MOST_SUBJECTS: u32 = 100;

/// How many tables of a database are asked about for the map itself; all of them for one cell.
const TABLES: usize = 25;

/// How many maps are worked out at a time.
const AT_A_TIME: usize = 2;

/// How long working one out may take; what is not there by then is asked for again.
const BUDGET: Duration = Duration::from_secs(15);

/// The most groups that a subject is thought of with.
const MOST_GROUPS: usize = 100;

/// Who may work out a map.
#[derive(Debug)]
pub(crate) struct Maps(Semaphore);

impl Default for Maps {
    fn default() -> Self {
        Self(Semaphore::new(AT_A_TIME))
    }
}

/// Which part of the map.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MapParams {
    /// Subjects with this in their name, `alias|id`.
    subject: Option<String>,
    /// This target alone.
    target: Option<String>,
    /// Subjects behind this one, as the last answer says.
    after: Option<String>,
    /// At most so many subjects: 20 unless given, 100 at most.
    limit: Option<u32>,
}

/// Which cell.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CellParams {
    /// The subject, as `alias|id`.
    subject: String,
    /// `service` or `user`: as it last was, unless given.
    kind: Option<String>,
    /// Its groups, separated by commas: those that it last was in, unless given.
    groups: Option<String>,
    /// The target.
    target: String,
}

/// A subject of the map, with what it may do at each target.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    found: FoundSubject,
    /// Empty if its groups are not known.
    targets: Vec<Summary>,
}

/// One cell.
#[derive(Serialize)]
struct Cell {
    revision: model::id::RevisionId,
    subject: SubjectKey,
    kind: SubjectKind,
    groups: Vec<Arc<str>>,
    target: Arc<str>,
    protocol: Arc<str>,
    places: Vec<PlaceAccess>,
    /// Whether everything was asked in time.
    is_complete: bool,
    policies: Vec<Text>,
}

/// A policy that a cell names.
#[derive(Serialize)]
struct Text {
    id: Arc<str>,
    file: Arc<str>,
    line: usize,
    text: String,
}

/// Goes on until somebody stops waiting, or the time is over.
#[derive(Clone)]
struct Going {
    wanted: Arc<AtomicBool>,
    until: Instant,
}

/// Dropped when nobody waits any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Going {
    fn begin() -> (Self, Waiting) {
        let wanted = Arc::new(AtomicBool::new(true));
        (Self { wanted: Arc::clone(&wanted), until: Instant::now() + BUDGET }, Waiting(wanted))
    }

    fn goes_on(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) && Instant::now() < self.until
    }
}

/// Shows what the subjects of the record may do at each target, in short, as the policies in force have it.
#[utoipa::path(get, path = "/v1/access", tag = "revision", params(MapParams),
    responses((status = 200, description = "Subjects in the order of their names, each with the targets",
            body = shape::AccessMapView),
        (status = 404, description = "No such target")))]
pub(crate) async fn map(
    State(app): State<App>,
    Params(params): Params<MapParams>,
) -> Result<impl IntoResponse, Problem> {
    let after = params.after.as_deref().map(subject_key).transpose()?;
    let limit = params.limit.unwrap_or(SUBJECTS);
    if !(1..=MOST_SUBJECTS).contains(&limit) {
        return Err(Problem::bad(format!("limit is a number from 1 to {MOST_SUBJECTS}")));
    }
    let active = app.node.revisions.current();
    if let Some(target) = &params.target {
        known_target(&active, target)?;
    }
    // One more tells whether there are more.
    let search = SubjectSearch { text: params.subject, after, limit: limit.saturating_add(1) };
    let mut known = Vec::new();
    for config in
        active.targets.values().filter(|one| params.target.as_ref().is_none_or(|name| **name == *one.target.name))
    {
        known.push((Arc::clone(config), known_places(&app, config, false).await?));
    }
    let map = worked_out(&app, move |node, going| {
        let mut few = Vec::new();
        for (config, places) in known {
            let places = places.into_iter().map(|place| Ok(with_record(node, &config, place)?.with_few(TABLES)));
            let places = places.collect::<Result<Vec<_>, store::Error>>()?;
            few.push((config, places));
        }
        let known = few;
        let mut subjects = node.state.records().subjects(&search)?;
        let mut more = subjects.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        subjects.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let (asked, now) = (subjects.len(), clock::now());
        let (rows, is_complete) = rows(&active, &known, subjects, now, going);
        more |= rows.len() < asked;
        let next = rows.last().filter(|_| more).map(|row| row.found.subject.to_string());
        let targets: Vec<_> = known.iter().map(|(config, _)| &config.target).collect();
        // As text here, as it borrows what this thread has.
        Ok(serde_json::json!({
            "revision": active.id, "targets": targets, "subjects": rows, "is_complete": is_complete, "next": next,
        }))
    });
    Ok(Answer::ok(map.await?))
}

/// Shows what one subject may do and see at one target, and which policies say so.
#[utoipa::path(get, path = "/v1/access/cell", tag = "revision", params(CellParams),
    responses((status = 200, description = "Each place of the target, with answers and the policies behind them",
            body = shape::AccessCellView),
        (status = 404, description = "No such target, or no such subject in the record")))]
pub(crate) async fn cell(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<CellParams>,
) -> Result<impl IntoResponse, Problem> {
    let active = app.node.revisions.current();
    let config = known_target(&active, &params.target)?;
    let subject = thought_of(&app, &params).await?;
    // What Sluice reads for it at a target is what `sluice target catalog` reads.
    let known = known_places(&app, &config, caller.may(AdminVerb::Operate).is_ok()).await?;
    let cell = worked_out(&app, move |node, going| {
        let known = known.into_iter().map(|known| with_record(node, &config, known)).collect::<Result<Vec<_>, _>>()?;
        let policies = active.policies.for_subject(&subject);
        let asker = Asker::new(&active, &config, &subject, &policies, clock::now());
        let found = look(&asker, &known, &|| going.goes_on());
        let policies = named(&active, &found);
        let target = &config.target;
        let cell = Cell {
            revision: active.id,
            subject: subject.key,
            kind: subject.kind,
            groups: subject.groups,
            target: Arc::clone(&target.name),
            protocol: Arc::clone(&target.protocol),
            places: found,
            is_complete: going.goes_on(),
            policies,
        };
        Ok(serde_json::json!(cell))
    });
    Ok(Answer::ok(cell.await?))
}

/// Works it out on a thread that may block, when it is its turn, for as long as somebody waits.
async fn worked_out<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Node, &Going) -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Problem> {
    let Ok(_turn) = app.maps.0.acquire().await else { return Err(Problem::internal()) };
    let (going, _waiting) = Going::begin();
    let node = Arc::clone(&app.node);
    match tokio::task::spawn_blocking(move || work(&node, &going)).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => {
            tracing::error!(%error, "an access map failed");
            Err(Problem::internal())
        }
    }
}

/// A place, known by its catalog or not yet.
enum Found {
    Known(Known),
    Unread(gateway::access_map::Place),
}

async fn known_places(app: &App, config: &TargetConfig, may_read: bool) -> Result<Vec<Found>, Problem> {
    let mut found = Vec::new();
    for place in places(config) {
        let structure = match config.postgres() {
            Some(_) => structure(&app.node, &config.target.name, &place.database, may_read).await,
            None => {
                found.push(Found::Known(Known::declared(place)));
                continue;
            }
        };
        found.push(match structure {
            Some(structure) => Found::Known(Known::of_catalog(place, &structure.catalog, structure.labels)),
            None => Found::Unread(place),
        });
    }
    Ok(found)
}

/// A place as the record knows it, where its catalog is not.
fn with_record(node: &Node, config: &TargetConfig, found: Found) -> Result<Known, store::Error> {
    let place = match found {
        Found::Known(known) => return Ok(known),
        Found::Unread(place) => place,
    };
    let target = &config.target.name;
    let (tables, columns) = node.state.records().relations_of(target, &place.database, MOST_RELATIONS)?;
    let active = node.revisions.current();
    Ok(Known::of_record(place, target, &active.classification, tables, columns))
}

/// The most relations, and columns, that the record is asked for.
const MOST_RELATIONS: u32 = 2_000;

/// The subjects that there was time for, and whether all of each was asked. The first is given in any case, with the
/// targets that there was time for: whoever asks for the next ones gets on.
fn rows(
    active: &Active,
    known: &[(Arc<TargetConfig>, Vec<Known>)],
    subjects: Vec<FoundSubject>,
    now: Timestamp,
    going: &Going,
) -> (Vec<Row>, bool) {
    let mut rows: Vec<Row> = Vec::new();
    for found in subjects {
        let (row, is_whole) = row(active, known, found, now, going);
        if is_whole {
            rows.push(row);
            continue;
        }
        let is_first = rows.is_empty();
        if is_first {
            rows.push(row);
        }
        return (rows, !is_first);
    }
    (rows, true)
}

/// What there is time for, and whether that is all of it.
fn row(
    active: &Active,
    known: &[(Arc<TargetConfig>, Vec<Known>)],
    found: FoundSubject,
    now: Timestamp,
    going: &Going,
) -> (Row, bool) {
    let (Some(kind), Some(groups)) = (found.kind, &found.groups) else {
        return (Row { found, targets: Vec::new() }, true);
    };
    let subject = as_it_was(found.subject.clone(), kind, groups.clone());
    let policies = active.policies.for_subject(&subject);
    let one = |(config, known): &(Arc<TargetConfig>, Vec<Known>)| {
        let asker = Asker::new(active, config, &subject, &policies, now);
        let summary = summary(&config.target.name, &look(&asker, known, &|| going.goes_on()));
        // What was broken off says less than there is.
        going.goes_on().then_some(summary)
    };
    let targets: Vec<Summary> = known.iter().map_while(one).collect();
    let is_whole = targets.len() == known.len();
    (Row { found, targets }, is_whole)
}

/// A subject whose credential is what it has to be, and that acts for nobody.
fn as_it_was(key: SubjectKey, kind: SubjectKind, groups: Vec<Arc<str>>) -> Subject {
    Subject {
        key,
        kind,
        groups,
        on_behalf_of: Vec::new(),
        expires_at: Timestamp(u64::MAX),
        binding: Binding::Bearer,
        token_id: None,
        credential: model::subject::Credential::default(),
    }
}

/// The subject that is asked about: as it is said, or else as the record has it.
async fn thought_of(app: &App, params: &CellParams) -> Result<Subject, Problem> {
    let key = subject_key(&params.subject)?;
    let kind = match params.kind.as_deref() {
        None => None,
        Some("service") => Some(SubjectKind::Service),
        Some("user") => Some(SubjectKind::User),
        Some(_) => return Err(Problem::bad("kind is service or user")),
    };
    let split = |text: &str| text.split(',').map(str::trim).filter(|group| !group.is_empty()).map(Arc::from).collect();
    let groups: Option<Vec<Arc<str>>> = params.groups.as_deref().map(split);
    if groups.as_ref().is_some_and(|groups| groups.len() > MOST_GROUPS) {
        return Err(Problem::bad(format!("a subject is asked about with at most {MOST_GROUPS} groups")));
    }
    if let (Some(kind), Some(groups)) = (kind, &groups) {
        return Ok(as_it_was(key, kind, groups.clone()));
    }
    let search = SubjectSearch { text: Some(key.to_string()), after: None, limit: MOST_RELATIONS };
    let found = app.state(move |state| state.records().subjects(&search)).await?;
    let known = found.into_iter().find(|one| one.subject == key);
    let kind = kind.or_else(|| known.as_ref().and_then(|known| known.kind));
    let groups = groups.or_else(|| known.and_then(|known| known.groups));
    match (kind, groups) {
        (Some(kind), Some(groups)) => Ok(as_it_was(key, kind, groups)),
        _ => Err(Problem::not_found("subject whose kind and groups the record has; give kind and groups")),
    }
}

fn subject_key(text: &str) -> Result<SubjectKey, Problem> {
    let (issuer, id) = text
        .split_once('|')
        .filter(|(issuer, id)| !issuer.is_empty() && !id.is_empty())
        .ok_or_else(|| Problem::bad("a subject is an issuer's alias and its id, such as corp|order-service"))?;
    Ok(SubjectKey { issuer: issuer.into(), id: id.into() })
}

fn known_target(active: &Active, name: &str) -> Result<Arc<TargetConfig>, Problem> {
    active.targets.get(name).cloned().ok_or_else(|| Problem::not_found("target"))
}

/// The policies that the places name, as they were written.
fn named(active: &Active, places: &[PlaceAccess]) -> Vec<Text> {
    let answers = places.iter().flat_map(|place| place.may.iter().chain([&place.connect]));
    let of_answers = answers.flat_map(|answer| answer.policies.iter().chain(&answer.near));
    let of_sight = places.iter().flat_map(|place| &place.sees).flat_map(|sees| &sees.policies);
    let wanted: std::collections::BTreeSet<&Arc<str>> = of_answers.chain(of_sight).collect();
    let files = &active.policy_files;
    let found = policy_texts(files.iter().map(|(_, text)| &**text)).into_iter();
    let found = found.filter(|policy| wanted.contains(&policy.id)).filter_map(|policy| {
        let (file, text) = files.get(policy.file)?;
        let text = text.get(policy.range)?.to_owned();
        Some(Text { id: policy.id, file: Arc::clone(file), line: policy.line, text })
    });
    found.collect()
}
