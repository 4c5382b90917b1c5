use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ledger::{Journal, Level, RealDisk, SigningKey};
use model::approval::{Answer, Consumed};
use model::class::Labels;
use model::decision::{Need, Outcome};
use model::effect::{Effect, Facts, Object, TableKind, TableName, Verb};
use model::event::{Entry, Event};
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::target::{Durability, Target};
use model::time::Timestamp;
use policy::{Approved, Context, Decision, OwnStatement, PolicySet, Question, Recording, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Reading and writing is permitted, and what tells somebody is asked about.
const POLICIES: &str = r#"
@id("all") permit(principal, action in [Action::"read", Action::"write"], resource);
@id("ask") @require_approval("dba") forbid(principal, action == Action::"delete", resource)
    unless { context has approval && context.approval.groups.contains("dba") };
"#;

fn key(id: &str) -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: id.into() }
}

fn verdict(verb: Verb) -> Verdict {
    let policies = PolicySet::load(&[("all.cedar".into(), POLICIES.into())], &BTreeMap::new()).unwrap();
    let subject = Subject {
        key: key("app"),
        kind: SubjectKind::Service,
        groups: vec![],
        on_behalf_of: vec![],
        expires_at: Timestamp(2_000_000_000_000),
        binding: Binding::Bearer,
        token_id: None,
        credential: model::subject::Credential::default(),
    };
    let context = Context {
        now: Timestamp(1_795_406_400_000),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        binding: Binding::Bearer,
        session_age: 1,
        on_behalf_of: None,
        reason: None,
        estimated_rows: None,
        observers: &[],
    };
    let effects = [Effect::new(verb, Object::Table(TableName::new("public", "orders"), TableKind::Table))];
    let facts = Facts { kind: "TEST".into(), bounded: true, multi: false, opaque: None };
    let target = Target { name: "payments".into(), protocol: "postgres".into(), labels: BTreeMap::new() };
    let labels = Labels::default();
    let (policies, database) = (policies.for_subject(&subject), "shop");
    let question =
        Question { target: &target, database, effects: &effects, facts: &facts, labels: &labels, context: &context };
    policy::judge(&policies, &question)
}

/// The verdicts are made once: what policies say is not what this is about.
struct Verdicts {
    read: Verdict,
    write: Verdict,
    asked: Verdict,
}

impl Verdicts {
    fn new() -> Self {
        Self { read: verdict(Verb::Select), write: verdict(Verb::Insert), asked: verdict(Verb::Delete) }
    }
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Does {
    Read,
    Show,
    Write,
    Approved,
}

/// What is permitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Request(Does, Durability),
    Continuation(Does, Durability),
    Preparation,
    Protocol,
    Own,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    request: RequestId,
    what: What,
}

impl Asked {
    fn permit(self, verdicts: &Verdicts) -> Permit {
        match self.what {
            What::Request(does, durability) => self.decided(verdicts, does, durability),
            What::Continuation(does, durability) => self.decided(verdicts, does, durability).continuation().unwrap(),
            What::Preparation => policy::prepare(&verdicts.write, self.request).unwrap(),
            What::Protocol => Permit::protocol(ProtocolAct::Sync, self.request),
            What::Own => Permit::own(OwnStatement::Refused, self.request),
        }
    }

    fn decided(self, verdicts: &Verdicts, does: Does, durability: Durability) -> Permit {
        let recording = Recording { durability, shows: does == Does::Show };
        let decision = match does {
            Does::Read | Does::Show => policy::decide(&verdicts.read, self.request, None, recording),
            Does::Write => policy::decide(&verdicts.write, self.request, None, recording),
            Does::Approved => {
                let (consumed, needs) = (consumed(self.request), verdicts.asked.needs());
                assert_eq!(needs.iter().map(|need: &Need| &*need.policy).collect::<Vec<_>>(), ["ask"]);
                let approved = Approved { consumed: &consumed, asked: needs, digest: Digest::default() };
                policy::decide(&verdicts.asked, self.request, Some(approved), recording)
            }
        };
        match decision {
            Decision::Allow(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    /// The rule of docs/operating/durability.md, said again.
    fn needs_power(self) -> bool {
        match self.what {
            What::Request(does, durability) | What::Continuation(does, durability) => {
                durability == Durability::Power || durability == Durability::Auto && does != Does::Read
            }
            What::Preparation | What::Protocol | What::Own => false,
        }
    }

    /// Whether the entry lets it pass.
    fn fits(self, entry: &Event, level: Level) -> bool {
        let of_session = |session: SessionId| session == self.request.session;
        let carries_nothing = matches!(self.what, What::Protocol | What::Own);
        let is_its = match entry {
            Event::Decided { request, outcome: Outcome::Allow, .. } => {
                let runs = matches!(self.what, What::Request(..) | What::Continuation(..));
                runs && *request == self.request || carries_nothing && of_session(request.session)
            }
            Event::Prepared { request, .. } => {
                let prepares = self.what == What::Preparation;
                prepares && *request == self.request || carries_nothing && of_session(request.session)
            }
            Event::SessionOpened { session, .. } => carries_nothing && of_session(*session),
            _ => false,
        };
        is_its && (level == Level::Power || !self.needs_power())
    }
}

#[allow(clippy::disallowed_methods, reason = "stands in for `store`")]
fn consumed(request: RequestId) -> Consumed {
    let answer =
        Answer { approver: key("ann"), groups: vec!["dba".into()], approve: true, reason: None, at: Timestamp(1) };
    Consumed::attest(ApprovalId::from_bits(1), Digest::default(), request, vec![answer])
}

fn decided(request: RequestId, outcome: Outcome) -> Event {
    Event::Decided {
        request,
        statements: vec![],
        values: vec![],
        outcome,
        policies: vec![],
        revision: RevisionId(1),
        approval: None,
        denial: None,
        on_behalf_of: None,
        traceparent: None,
    }
}

/// The `kind`-th sort of entry that names a request.
fn event(kind: u8, request: RequestId) -> Event {
    let (session, reason) = (request.session, "over".into());
    match kind {
        0 | 1 => decided(request, Outcome::Allow),
        2 => decided(request, Outcome::Deny),
        3 => decided(request, Outcome::Ask),
        4 => Event::Prepared { request, statements: vec![], policies: vec![], revision: RevisionId(1) },
        5 => Event::Completed { request, disclosure: model::disclosure::Disclosure::default(), millis: 1, error: None },
        6 => Event::BreakGlass { request, subject: key("app"), waived: vec![] },
        7 => Event::ApprovalConsumed { approval: ApprovalId::from_bits(1), request },
        8 => Event::SessionClosed { session, reason, tape: None },
        9 => Event::Started { version: "0".into() },
        _ => Event::SessionOpened {
            session,
            subject: Subject {
                key: key("app"),
                kind: SubjectKind::Service,
                groups: vec![],
                on_behalf_of: vec![],
                expires_at: Timestamp(1),
                binding: Binding::Bearer,
                token_id: None,
                credential: model::subject::Credential::default(),
            },
            target: "payments".into(),
            database: "shop".into(),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            application: "".into(),
            revision: RevisionId(1),
        },
    }
}

/// Few enough that they often are about the same request.
fn requests() -> impl Strategy<Value = RequestId> {
    (0..2_u64, 0..3_u64).prop_map(|(session, number)| SessionId::from_bits(session + 1).request(number))
}

fn asked() -> impl Strategy<Value = Asked> {
    let does = || prop_oneof![Just(Does::Read), Just(Does::Show), Just(Does::Write), Just(Does::Approved)];
    let durability = || prop_oneof![Just(Durability::Auto), Just(Durability::Process), Just(Durability::Power)];
    let what = prop_oneof![
        4 => (does(), durability()).prop_map(|(does, durability)| What::Request(does, durability)),
        2 => (does(), durability()).prop_map(|(does, durability)| What::Continuation(does, durability)),
        1 => Just(What::Preparation),
        1 => Just(What::Protocol),
        1 => Just(What::Own),
    ];
    (requests(), what).prop_map(|(request, what)| Asked { request, what })
}

fn recorded() -> impl Strategy<Value = Vec<(Event, Level)>> {
    let level = prop_oneof![Just(Level::Process), Just(Level::Power)];
    let one = (0..11_u8, requests(), level).prop_map(|(kind, request, level)| (event(kind, request), level));
    proptest::collection::vec(one, 1..12)
}

/// A real journal.
struct Recorded {
    _folder: tempfile::TempDir,
    journal: Journal,
}

impl Recorded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed("sluice.example/journal", &[7; 32]).unwrap();
        let (journal, _) = Journal::open(Arc::new(RealDisk), &folder.path().join("journal"), key).unwrap();
        Self { _folder: folder, journal }
    }

    /// The receipt of an entry, at its level.
    fn receipt(&self, (event, level): &(Event, Level)) -> Receipt {
        let appended = self.journal.append(&[Entry { at: Timestamp(1), event: event.clone() }]).unwrap();
        let mut receipts = match level {
            Level::Process => appended.at_process(),
            Level::Power => appended.at_power(&self.journal.sync().unwrap()).unwrap(),
        };
        receipts.pop().unwrap()
    }
}

/// A target's side over a connection of this machine, which nobody drives: what is sent stays to be counted.
fn side() -> (tokio::runtime::Runtime, TargetSide) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
    });
    (runtime, TargetSide::new(Leg::new(Stream::Plain(stream), bytes::BytesMut::new())))
}

/// Of all permits with all receipts, those pass that are about one request, at the level that it needs; of the others not
/// a byte does.
#[test]
fn rc_03_nothing_passes_whose_permit_receipt_and_level_do_not_match() {
    let (verdicts, journal) = (Verdicts::new(), Recorded::new());
    let permits = proptest::collection::vec(asked(), 1..24);
    let message = proptest::collection::vec(any::<u8>(), 1..64);
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let counted = Cell::new((0, 0));
    let ran = runner.run(&(permits, recorded(), message), |(permits, recorded, message)| {
        let (_runtime, mut side) = side();
        let (mut passed, mut all) = (0, 0);
        for recorded in &recorded {
            let ((event, level), receipt) = (recorded, journal.receipt(recorded));
            for asked in &permits {
                let fits = asked.fits(event, *level);
                let sent = side.send(asked.permit(&verdicts), &receipt, &message);
                passed += usize::from(fits);
                all += 1;
                prop_assert_eq!(sent.is_ok(), fits, "{:?} with {:?} at {:?}", asked, event, level);
                prop_assert_eq!(side.leg().backlog(), passed * message.len());
            }
        }
        let (before, in_all) = counted.get();
        counted.set((before + passed, in_all + all));
        Ok(())
    });
    ran.unwrap();
    let (passed, all) = counted.get();
    assert!(passed > 100 && all - passed > 100, "{passed} of {all} pass");
}

/// Said apart from the property, as this is what it is for: a write whose level somebody forgot to raise stays here.
#[test]
fn rc_03_a_write_does_not_pass_with_a_receipt_that_a_power_cut_would_take_back() {
    let ((_runtime, mut side), verdicts, journal) = (side(), Verdicts::new(), Recorded::new());
    let request = SessionId::from_bits(1).request(1);
    let entry = || decided(request, Outcome::Allow);
    let receipts = [Level::Process, Level::Power].map(|level| journal.receipt(&(entry(), level)));
    let write = || Asked { request, what: What::Request(Does::Write, Durability::Auto) }.permit(&verdicts);
    assert_eq!(side.send(write(), &receipts[0], b"x"), Err(GateError::TooWeak));
    assert_eq!(side.leg().backlog(), 0);
    assert_eq!(side.send(write(), &receipts[1], b"x"), Ok(()));
    assert_eq!(side.leg().backlog(), 1);
}

/// What may be prepared may not be run, and the other way round, whatever number both have.
#[test]
fn rc_03_a_request_does_not_pass_with_the_receipt_of_its_preparation() {
    let ((_runtime, mut side), verdicts, journal) = (side(), Verdicts::new(), Recorded::new());
    for number in [0, 1] {
        let request = SessionId::from_bits(1).request(number);
        let receipt = |kind| journal.receipt(&(event(kind, request), Level::Power));
        let (allowed, prepared, opened) = (receipt(0), receipt(4), receipt(10));
        let permit = |what| Asked { request, what }.permit(&verdicts);
        let run = What::Request(Does::Read, Durability::Auto);
        let rest = What::Continuation(Does::Read, Durability::Auto);
        for (what, receipt) in [
            (run, &prepared),
            (rest, &prepared),
            (What::Preparation, &allowed),
            (run, &opened),
            (rest, &opened),
            (What::Preparation, &opened),
        ] {
            assert_eq!(side.send(permit(what), receipt, b"x"), Err(GateError::Mismatch), "{what:?} {number}");
        }
        assert_eq!(side.leg().backlog(), usize::try_from(number * 3).unwrap());
        for (what, receipt) in [(run, &allowed), (rest, &allowed), (What::Preparation, &prepared)] {
            assert_eq!(side.send(permit(what), receipt, b"x"), Ok(()), "{what:?} {number}");
        }
    }
}

#[test]
fn a_tunnel_begins_and_goes_on_by_what_runs_a_request_and_by_nothing_else() {
    let (runtime, verdicts, journal) = (tokio::runtime::Runtime::new().unwrap(), Verdicts::new(), Recorded::new());
    let request = SessionId::from_bits(1).request(1);
    let receipt = |kind| journal.receipt(&(event(kind, request), Level::Power));
    let (allowed, prepared) = (receipt(0), receipt(4));
    let permit = |what| Asked { request, what }.permit(&verdicts);
    let run = What::Request(Does::Read, Durability::Auto);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = ("127.0.0.1", listener.local_addr().unwrap().port());
        for (what, receipt) in
            [(run, &prepared), (What::Preparation, &prepared), (What::Protocol, &allowed), (What::Own, &allowed)]
        {
            let opened = TargetTunnel::open(permit(what), receipt, place).await;
            assert!(matches!(opened, Err(NotOpened::Gate(GateError::Mismatch))), "{what:?}");
        }
        let (_reads, mut tunnel) = TargetTunnel::open(permit(run), &allowed, place).await.unwrap();
        let mismatch = Err(Gone::Gate(GateError::Mismatch));
        assert_eq!(tunnel.send(permit(What::Protocol), &allowed, b"x").await, mismatch);
        assert_eq!(tunnel.send(permit(run), &prepared, b"x").await, mismatch);
        let rest = What::Continuation(Does::Read, Durability::Auto);
        tunnel.send(permit(rest), &allowed, b"hello").await.unwrap();
        tunnel.close().await;
        // No other connection has reached it.
        let (mut only, _) = listener.accept().await.unwrap();
        let mut said = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut only, &mut said).await.unwrap();
        assert_eq!(said, b"hello");
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await.is_err());
    });
}
