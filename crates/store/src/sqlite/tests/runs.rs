//! Requests that share a row: found, counted and added to as if each had its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use model::class::DataClass;
use model::classification::{Classification, ColumnRule};
use model::decision::Outcome;
use model::disclosure::Disclosure;
use model::effect::{ColumnName, Effect, Facts, Object, TableKind, TableName, Verb};
use model::event::{Entry, Event, Shown};
use model::lineage::{Origin, Output, OutputColumn};
use proptest::prelude::*;

use super::*;
use crate::audit::{DisclosedNow, Now, Search, SessionSearch};

/// What happens in a generated journal.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A session's next request is decided: with which statement, and whether it has something of its own.
    Decide { session: u64, statement: u8, traced: bool },
    /// One of its requests ends, well or not: the last one, or one further back, which may have ended before.
    End { session: u64, back: u64, fails: bool },
    /// One of its requests is decided again.
    Again { session: u64, back: u64 },
    /// Time goes by, or back.
    Wait { millis: i64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1u64..4, 0u8..3, prop::bool::weighted(0.1))
            .prop_map(|(session, statement, traced)| Act::Decide { session, statement, traced }),
        6 => (1u64..4, prop_oneof![8 => Just(0u64), 1 => 0u64..6], prop::bool::weighted(0.1))
            .prop_map(|(session, back, fails)| Act::End { session, back, fails }),
        1 => (1u64..4, 0u64..6).prop_map(|(session, back)| Act::Again { session, back }),
        2 => prop_oneof![Just(3i64), Just(40_000), Just(-50_000)].prop_map(|millis| Act::Wait { millis }),
    ];
    prop::collection::vec(act, 0..120)
}

/// What a request is expected to be found as.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    at: u64,
    position: u64,
    statement: u8,
    value: String,
    end: Option<(u64, u64, u64)>,
}

/// A journal and, told by nothing but its entries, what is to be found in it.
#[derive(Default)]
struct Told {
    entries: Vec<(u64, Entry)>,
    requests: BTreeMap<RequestId, Expected>,
}

impl Told {
    fn of(acts: &[Act]) -> Self {
        let mut told = Self::default();
        let mut now = 1_000_000;
        (1..4).for_each(|of| told.push(now, opens(of)));
        (0..3).for_each(|statement| told.push(now, explained(statement)));
        let mut last = BTreeMap::<u64, u64>::new();
        for act in acts {
            match *act {
                Act::Decide { session: of, statement, traced } => {
                    let number = last.entry(of).or_insert(0);
                    *number += 1;
                    told.decide(now, session(of).request(*number), statement, traced);
                }
                Act::End { session: of, back, fails } => {
                    let number = last.get(&of).map_or(0, |last| last.saturating_sub(back));
                    if number > 0 {
                        told.end(now, session(of).request(number), fails);
                    }
                }
                Act::Again { session: of, back } => {
                    let number = last.get(&of).map_or(0, |last| last.saturating_sub(back));
                    if number > 0 {
                        told.decide(now, session(of).request(number), 2, false);
                    }
                }
                Act::Wait { millis } => now = now.saturating_add_signed(millis),
            }
        }
        told
    }

    fn push(&mut self, now: u64, event: Event) {
        let position = u64::try_from(self.entries.len()).unwrap() + 5;
        self.entries.push((position, Entry { at: Timestamp(now), event }));
    }

    fn decide(&mut self, now: u64, request: RequestId, statement: u8, traced: bool) {
        self.push(now, decided(request, statement, traced));
        let position = self.entries.last().unwrap().0;
        let value = request.number.to_string();
        let new = || Expected { at: now, position, statement, value, end: None };
        self.requests.entry(request).or_insert_with(new).statement = statement;
    }

    fn end(&mut self, now: u64, request: RequestId, fails: bool) {
        self.push(now, ended(request, fails));
        let expected = self.requests.get_mut(&request).unwrap();
        let (_, rows, bytes) = expected.end.unwrap_or_default();
        expected.end = Some((now, rows + 2, bytes + 100));
    }

    /// What those gave of a column that was classified by nobody then: statement 1 has it in each row, and nobody can say
    /// what statement 2 has.
    fn given(&self, is_meant: impl Fn(&RequestId, &Expected) -> bool) -> DisclosedNow {
        let mut given = DisclosedNow::default();
        for (_, it) in self.found(is_meant).into_iter().filter(|(_, it)| it.statement > 0) {
            match it.end {
                Some((_, rows, _)) if it.statement == 1 => {
                    given.clear_at_most += rows;
                    given.requests += 1;
                }
                Some(_) | None => given.unknown += 1,
            }
        }
        given
    }

    /// What a search is to find.
    fn found(&self, is_meant: impl Fn(&RequestId, &Expected) -> bool) -> Vec<(RequestId, Expected)> {
        let mut all: Vec<_> = self.requests.clone().into_iter().filter(|(id, it)| is_meant(id, it)).collect();
        all.sort_by_key(|(_, it)| Reverse((it.at, it.position)));
        all
    }
}

/// A session, of one of two callers at one of two targets.
fn opens(of: u64) -> Event {
    let target = format!("target-{}", of % 2);
    opened(of, &format!("svc|caller-{}", of % 2), (&target, "main"))
}

fn explained(statement: u8) -> Event {
    let (table, nick) =
        (TableName::new("public", "people"), ColumnName::new(TableName::new("public", "people"), "nick"));
    let output = match statement {
        1 => Output::Rows(vec![OutputColumn { name: "nick".into(), origin: Origin::Column(nick) }]),
        2 => Output::Rows(vec![OutputColumn { name: "it".into(), origin: Origin::Unknown }]),
        _ => Output::Rows(vec![]),
    };
    Event::Statement {
        id: Digest([statement; 32]),
        target: "target-1".into(),
        database: "main".into(),
        text: format!("SELECT {statement}"),
        effects: vec![Effect::new(Verb::Select, Object::Table(table, TableKind::Table))],
        facts: Facts::default(),
        output,
    }
}

/// The column as somebody classifies it afterwards.
fn now() -> Now {
    let class = DataClass::new("nickname");
    let rule = ColumnRule {
        target: "*".into(),
        database: "*".into(),
        schema: "public".into(),
        table: "people".into(),
        column: "nick".into(),
        classes: BTreeSet::from([class.clone()]),
    };
    Now {
        class,
        classification: Arc::new(Classification {
            classes: BTreeMap::new(),
            rules: vec![rule],
            ..Classification::default()
        }),
    }
}

fn decided(request: RequestId, statement: u8, traced: bool) -> Event {
    Event::Decided {
        request,
        statements: vec![Digest([statement; 32])],
        values: vec![Shown::Clear(request.number.to_string())],
        outcome: Outcome::Allow,
        policies: vec!["baseline".into()],
        revision: RevisionId(1),
        approval: None,
        denial: None,
        on_behalf_of: None,
        traceparent: traced.then(|| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    }
}

fn ended(request: RequestId, fails: bool) -> Event {
    let disclosure = Disclosure { rows: 2, bytes: 100, ..Disclosure::default() };
    Event::Completed { request, disclosure, error: fails.then(|| "22012".into()), millis: 1 }
}

/// What a search finds, told as [`Expected`].
fn found(state: &Sqlite, search: &Search) -> Vec<(RequestId, Expected)> {
    let told = |request: crate::audit::FoundRequest| {
        let [Shown::Clear(value)] = request.values.as_slice() else { panic!("{:?}", request.values) };
        let expected = Expected {
            at: request.at.0,
            position: request.position,
            statement: request.statements[0].id.0[0],
            value: value.clone(),
            end: request.completion.map(|end| (end.at.0, end.rows, end.bytes)),
        };
        assert_eq!(request.target.unwrap(), format!("target-{}", request.request.session.bits() % 2));
        (request.request, expected)
    };
    state.search(search).unwrap().into_iter().map(told).collect()
}

fn rows(state: &Sqlite, table: &str) -> i64 {
    state.records().connection().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(96))]

    /// Whatever happens, and however it is cut into transactions: each request is found as it is told, by each search.
    #[test]
    fn each_is_found_as_if_it_had_a_row_of_its_own(acts in acts(), cut in 1usize..60, from in 0u64..200_000) {
        let directory = tempfile::tempdir().unwrap();
        let state = Sqlite::open(directory.path()).unwrap();
        let told = Told::of(&acts);
        for batch in told.entries.chunks(cut) {
            state.index(batch).unwrap();
        }
        let all = Search { limit: 1000, ..Search::default() };
        prop_assert_eq!(found(&state, &all), told.found(|_, _| true));
        let since = 900_000 + from;
        let times = Search { since: Some(Timestamp(since)), until: Some(Timestamp(since + 45_000)), ..all.clone() };
        prop_assert_eq!(found(&state, &times), told.found(|_, it| it.at >= since && it.at < since + 45_000));
        let few = Search { limit: 7, ..all.clone() };
        let newest: Vec<_> = told.found(|_, _| true).into_iter().take(7).collect();
        prop_assert_eq!(found(&state, &few), newest);
        let subject = Search { subject: Some(String::from("svc|caller-0")), ..all.clone() };
        prop_assert_eq!(found(&state, &subject), told.found(|id, _| id.session == session(2)));
        let statement = Search { statement: Some(Digest([1; 32])), target: Some("target-1".into()), ..all.clone() };
        let is_meant = |id: &RequestId, it: &Expected| it.statement == 1 && id.session != session(2);
        prop_assert_eq!(found(&state, &statement), told.found(is_meant));
        let unknown = Search { unknown_only: true, ..all.clone() };
        prop_assert_eq!(found(&state, &unknown), told.found(|_, it| it.end.is_none()));
        let (records, now) = (state.records(), now());
        let given = |search: &Search| records.disclosed_now(&now, search).unwrap();
        prop_assert_eq!(given(&all), told.given(|_, _| true));
        let in_time = |_: &RequestId, it: &Expected| it.at >= since && it.at < since + 45_000;
        prop_assert_eq!(given(&times), told.given(in_time));
        for line in records.report_now(&now, Some(Timestamp(since))).unwrap() {
            let is_caller_0 = line.subject == Some(key("svc|caller-0"));
            let of_caller = |id: &RequestId| (id.session == session(2)) == is_caller_0;
            prop_assert_eq!(line.disclosed, told.given(|id, it| of_caller(id) && it.at >= since));
        }
        let of_now = records.search(&Search { now: Some(now.clone()), ..times.clone() }).unwrap();
        let mut sum = DisclosedNow::default();
        for given in of_now.iter().map(|request| request.now.as_ref().unwrap()) {
            sum.clear_at_most += given.clear_at_most;
            sum.requests += u64::from(given.clear_at_most > 0);
            sum.unknown += u64::from(given.unknown);
        }
        prop_assert_eq!(sum, told.given(in_time));
        for (id, expected) in told.found(|_, _| true) {
            let one = Search { request: Some(id), ..all.clone() };
            prop_assert_eq!(given(&one), told.given(|other, _| *other == id));
            let one = Search { request: Some(id), ..all.clone() };
            prop_assert_eq!(found(&state, &one), vec![(id, expected)]);
        }
        for of in state.sessions(&SessionSearch::default()).unwrap() {
            let requests = told.requests.keys().filter(|id| id.session == of.session).count();
            prop_assert_eq!(of.requests, u64::try_from(requests).unwrap());
        }
    }
}

/// A thousand reads of one session, as an application makes them.
fn thousand(state: &Sqlite) {
    let mut told = Told::default();
    told.push(1_000_000, opens(1));
    for number in 1..=1000 {
        told.push(1_000_000 + number, decided(session(1).request(number), 1, false));
        told.push(1_000_000 + number, ended(session(1).request(number), false));
    }
    state.index(&told.entries).unwrap();
}

#[test]
fn a_thousand_alike_take_two_rows() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    thousand(&state);
    assert_eq!((rows(&state, "runs"), rows(&state, "requests")), (2, 0));
    let late = Search { until: Some(Timestamp(1_000_400)), limit: 1, ..Search::default() };
    assert_eq!(found(&state, &late)[0].1.value, "399");
}

#[test]
fn what_is_added_to_later_gets_a_row_of_its_own_and_leaves_the_others_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    thousand(&state);
    let late = Entry { at: Timestamp(2_000_000), event: ended(session(1).request(700), true) };
    state.index(&[(5000, late)]).unwrap();
    assert_eq!((rows(&state, "runs"), rows(&state, "requests")), (2, 1));
    let one = Search { request: Some(session(1).request(700)), ..Search::default() };
    let request = state.search(&one).unwrap().remove(0);
    let end = request.completion.unwrap();
    assert_eq!((end.at.0, end.rows, end.error.as_deref()), (2_000_000, 4, Some("22012")));
    let others = Search { limit: 2000, ..Search::default() };
    assert_eq!(found(&state, &others).len(), 1000);
}
