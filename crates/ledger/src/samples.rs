//! Entries and keys for the tests.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use model::approval::{Answer, Asked, Mode, Status};
use model::bypass::{Finding, Severity};
use model::decision::{Denial, Need, Outcome};
use model::disclosure::{Counts, Disclosure};
use model::effect::{
    ColumnName, Command, Effect, Endpoint, Facts, FunctionClass, GraphqlField, GraphqlKind, GrpcCall, GrpcMethod,
    KubernetesCommand, KubernetesPath, KubernetesResource, KubernetesTrait, McpItem, McpKind, Object, Route, RouteKind,
    RpcCall, RpcMethod, SettingClass, TableKind, TableName, Verb,
};
use model::event::{Entry, Event, Shown};
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::lineage::{Origin, Output, OutputColumn};
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;

use crate::disk::FaultyDisk;
use crate::journal::{Journal, OpenError, Recovery, Sizes};
use crate::note::SigningKey;

/// Room for some entries.
pub(crate) const RESERVE: u64 = 600;

pub(crate) const DIR: &str = "/data/journal";

pub(crate) fn dir() -> &'static Path {
    Path::new(DIR)
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed("sluice.example/journal", &[7; 32]).unwrap()
}

pub(crate) fn open(disk: &FaultyDisk, limit: u64) -> Result<(Journal, Recovery), OpenError> {
    Journal::open_with(Arc::new(disk.clone()), dir(), key(), Sizes { segment: limit, reserve: RESERVE })
}

pub(crate) const fn request(number: u64) -> RequestId {
    SessionId::from_bits(0x0123_4567_89ab_cdef).request(number)
}

/// A small entry that differs with `number`.
pub(crate) fn entry(number: u64) -> Entry {
    let event = Event::ApprovalConsumed { approval: ApprovalId::from_bits(number), request: request(number) };
    Entry { at: Timestamp(1_795_406_400_000 + number), event }
}

/// An entry that lets a request go on.
pub(crate) fn allowed(number: u64) -> Entry {
    let (statements, policies) = (vec![], vec!["reads".into()]);
    let event = Event::Prepared { request: request(number), statements, policies, revision: RevisionId(1) };
    Entry { at: Timestamp(1_795_406_400_000 + number), event }
}

/// An entry whose encoding has about `length` bytes.
pub(crate) fn long_entry(length: usize) -> Entry {
    Entry { at: Timestamp(0), event: Event::Gap { session: None, reason: "x".repeat(length).into() } }
}

fn subject_key() -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: "order-service".into() }
}

fn need() -> Need {
    Need { policy: "ask-dba".into(), policy_digest: Digest([2; 32]), groups: vec!["dba".into()], quorum: 1 }
}

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn subject() -> Subject {
    Subject {
        key: subject_key(),
        kind: SubjectKind::Service,
        groups: vec!["orders".into()],
        on_behalf_of: vec![SubjectKey { issuer: "corp".into(), id: "ada".into() }],
        expires_at: Timestamp(9),
        binding: Binding::Bearer,
        token_id: Some("jti".into()),
        credential: model::subject::Credential::default(),
    }
}

fn session_events(session: SessionId) -> Vec<Event> {
    let (subject, source) = (subject(), SOURCE);
    vec![
        Event::Started { version: "0.1.0".into() },
        Event::Stopped,
        Event::SessionOpened {
            session,
            subject,
            target: "payments".into(),
            database: "app".into(),
            source,
            application: "psql".into(),
            revision: RevisionId(3),
        },
        Event::SessionRefused { session, source, reason: "token expired".into() },
        Event::SessionRenewed { session, expires_at: Timestamp(10) },
        Event::SessionClosed { session, reason: "terminated".into(), tape: Some((Digest([3; 32]), 77)) },
    ]
}

fn request_events(request: RequestId) -> Vec<Event> {
    let table = TableName::new("public", "cards");
    let column = ColumnName::new(table.clone(), "number");
    let counts = Counts { clear: 0, masked: 5 };
    vec![
        Event::Statement {
            id: Digest([1; 32]),
            target: "payments".into(),
            database: "app".into(),
            text: "SELECT number FROM cards WHERE id = $1".into(),
            effects: vec![Effect::new(Verb::Select, Object::Table(table, TableKind::Table))],
            facts: Facts { kind: "SELECT".into(), bounded: true, multi: false, opaque: None },
            output: Output::Rows(vec![OutputColumn { name: "number".into(), origin: Origin::Column(column.clone()) }]),
        },
        Event::Decided {
            request,
            statements: vec![Digest([1; 32])],
            values: vec![Shown::Null, Shown::Clear("1".into()), Shown::Masked("email".into()), Shown::Length(9)],
            outcome: Outcome::Deny,
            policies: vec!["baseline".into()],
            revision: RevisionId(3),
            approval: Some(ApprovalId::from_bits(5)),
            denial: Some(Denial { policies: vec![], message: "not permitted".into(), missing: "select".into() }),
            on_behalf_of: Some(subject_key()),
            traceparent: Some("00-01-02-01".into()),
        },
        Event::Completed {
            request,
            disclosure: Disclosure {
                rows: 5,
                bytes: 300,
                classes: [(model::class::DataClass::new("card_number"), counts)].into(),
                columns: [(column, counts)].into(),
            },
            error: Some("42501".into()),
            millis: 12,
        },
    ]
}

fn approval_events(approval: ApprovalId, request: RequestId) -> Vec<Event> {
    let asked = Asked {
        request,
        subject: subject_key(),
        on_behalf_of: vec![],
        target: "payments".into(),
        database: "app".into(),
        statement: "DELETE FROM payments WHERE id = 1".into(),
        parameters: vec!["1".into()],
        effects: vec!["delete table public.payments".into()],
        estimated_rows: Some(1),
        reason: None,
        needs: vec![need()],
        digest: Digest([4; 32]),
        mode: Mode::Hold,
        revision: RevisionId(3),
        asked_at: Timestamp(1),
        expires_at: Timestamp(2),
    };
    let answer = Answer {
        approver: SubjectKey { issuer: "corp".into(), id: "grace".into() },
        groups: vec!["dba".into()],
        approve: true,
        reason: Some("ticket 5".into()),
        at: Timestamp(3),
    };
    vec![
        Event::ApprovalAsked { approval, asked: Box::new(asked) },
        Event::ApprovalAnswered { approval, answer },
        Event::ApprovalConsumed { approval, request },
        Event::ApprovalEnded { approval, status: Status::Expired, reason: "time".into() },
        Event::OutcomeUnknown { approval, request },
        Event::BreakGlass { request, subject: subject_key(), waived: vec![need()] },
    ]
}

/// One entry of each kind, in the order of the enum.
pub(crate) fn one_of_each() -> Vec<Entry> {
    let session = SessionId::from_bits(0x0123_4567_89ab_cdef);
    let mut events = session_events(session);
    events.extend(request_events(request(1)));
    events.extend(approval_events(ApprovalId::from_bits(5), request(1)));
    events.extend([
        Event::RevisionApplied { revision: RevisionId(3), digest: Digest([5; 32]) },
        Event::RevisionRefused { digest: Digest([6; 32]), errors: vec!["line 3".into()] },
        Event::SecretUsed { session: Some(session), target: "payments".into(), reference: "vault:payments".into() },
        Event::AdminAction {
            subject: subject_key(),
            action: "session.kill".into(),
            object: "1".into(),
            outcome: Outcome::Allow,
        },
        Event::OwnStatement { session: None, target: "payments".into(), database: "app".into(), name: "probe".into() },
        Event::Gap { session: Some(session), reason: "disk full".into() },
        Event::Prepared {
            request: session.request(8),
            statements: vec![Digest([7; 32])],
            policies: vec!["orders-read".into()],
            revision: RevisionId(3),
        },
        Event::KeyRotated {
            old: "sluice+1+a".into(),
            new: "sluice+2+b".into(),
            size: 300,
            root: Digest([8; 32]),
            by_old: "c".into(),
            by_new: "d".into(),
        },
        Event::TapeCut { session, length: 1 << 30, reason: "its cap".into() },
        Event::TapeRemoved { session, reason: "its time was over".into(), by: None },
        Event::HoldBecameTicket { approval: ApprovalId::from_bits(4) },
        Event::ClockMoved { by: -3_600_000 },
        Event::TapePartEnded { session, part: 2, digest: Digest([9; 32]), length: 1 << 30 },
        Event::TapeArchived {
            session,
            part: 2,
            object: "tapes/1/00002.tapez".into(),
            digest: Digest([10; 32]),
            length: 1 << 28,
        },
        Event::TokenIssued {
            subject: subject(),
            kind: "access_token".into(),
            target: Some("payments".into()),
            issued_for: Some("t-1".into()),
            source: SOURCE,
        },
        Event::TokenRefused { source: SOURCE, reason: "the token expired 9 s ago".into() },
        Event::Bypass {
            target: "payments".into(),
            database: "app".into(),
            findings: vec![Finding {
                severity: Severity::Serious,
                check: "superuser".into(),
                what: "Sluice logs in as a superuser".into(),
            }],
        },
    ]);
    events.into_iter().zip(0..).map(|(event, at)| Entry { at: Timestamp(at), event }).collect()
}

/// Every verb on some object, and every object with some verb, each in the order of its enum.
pub(crate) fn every_effect() -> Vec<Effect> {
    use Verb::*;
    let verbs = [
        Connect,
        Select,
        Lookup,
        Join,
        Filter,
        Insert,
        Update,
        Delete,
        Truncate,
        Execute,
        Evaluate,
        Transaction,
        Set,
        Maintain,
        Ddl,
        Grant,
        Listen,
        Notify,
        Declassify,
        Opaque,
        Exec,
        Shell,
        Pty,
        Sftp,
        Forward,
        ListenForward,
        AgentForward,
        X11,
        ReadFile,
        ListDirectory,
        StatFile,
        WriteFile,
        AppendFile,
        CreateFile,
        RemoveFile,
        RenameFile,
        MakeDirectory,
        Symlink,
        HardLink,
        SetAttributes,
        CopyFile,
        Get,
        Head,
        Options,
        Post,
        Put,
        Patch,
        DeleteRoute,
        Trace,
        Tunnel,
        OtherMethod,
        Upgrade,
        GraphqlQuery,
        GraphqlMutate,
        GraphqlSubscribe,
        GraphqlIntrospect,
        GrpcCall,
        RpcCall,
        McpTool,
        McpResource,
        McpPrompt,
        KubernetesGet,
        KubernetesList,
        KubernetesWatch,
        KubernetesLog,
        KubernetesDiscover,
        KubernetesCreate,
        KubernetesUpdate,
        KubernetesPatch,
        KubernetesDelete,
        KubernetesDeleteCollection,
        KubernetesEvict,
        KubernetesExec,
        KubernetesAttach,
        KubernetesPortForward,
        KubernetesProxy,
        KubernetesDebug,
        KubernetesSchedule,
        KubernetesToken,
        KubernetesApprove,
        KubernetesBind,
        KubernetesEscalate,
        KubernetesImpersonate,
        KubernetesOther,
    ];
    let (table, column) =
        (TableName::new("public", "cards"), ColumnName::new(TableName::new("public", "cards"), "pin"));
    let command = Command {
        program: "rm".into(),
        arguments: vec!["-rf".into(), "a b".into()],
        line: "rm -rf 'a b'".into(),
        interactive: true,
    };
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let [route, field, method, call, tool] = every_part_of_an_api();
    let [resource, path, in_container] = every_part_of_kubernetes(&command);
    let [with_message, with_parameters] = every_call_with_arguments();
    let objects = [
        Object::Target,
        Object::Database,
        Object::Namespace("public".into()),
        Object::Table(table.clone(), TableKind::Unresolved),
        Object::Column(column.clone(), TableKind::View),
        Object::Function(table, FunctionClass::Unknown),
        Object::Setting("role".into(), SettingClass::Server),
        Object::Channel("jobs".into()),
        Object::Login,
        Object::Command(Arc::new(command.clone())),
        Object::File("/srv/data".into()),
        Object::Endpoint(Endpoint::Tcp { host: "db".into(), port: 5432, address }),
        Object::Endpoint(Endpoint::Socket("/run/db".into())),
        route,
        field,
        method,
        call,
        tool,
        resource,
        path,
        in_container,
        with_message,
        with_parameters,
    ];
    let on_target = verbs.map(|verb| Effect { with: Some(column.clone()), ..Effect::new(verb, Object::Target) });
    on_target.into_iter().chain(objects.map(|object| Effect::new(Connect, object))).collect()
}

/// What requests to HTTP APIs act on.
fn every_part_of_an_api() -> [Object; 5] {
    let named = |name: &str, value: &str| (name.into(), value.into());
    [
        Object::Route(Arc::new(Route {
            kind: RouteKind::OtherMethod,
            method: "GET".into(),
            host: "api.example".into(),
            path: "/v1/customers/7".into(),
            template: "/v1/customers/{id}".into(),
            operation: "getCustomer".into(),
            parameters: vec![named("id", "7")],
            query: vec![named("expand", "cards")],
        })),
        Object::GraphqlField(Arc::new(GraphqlField {
            route: "/graphql".into(),
            kind: GraphqlKind::Subscription,
            operation: "Watch".into(),
            path: vec!["customer".into(), "card".into()],
        })),
        Object::GrpcMethod(Arc::new(GrpcMethod {
            route: "/shop.v1.Orders/Get".into(),
            service: "shop.v1.Orders".into(),
            method: "Get".into(),
        })),
        Object::RpcMethod(Arc::new(RpcMethod { route: "/rpc".into(), method: "refund".into() })),
        Object::Mcp(Arc::new(McpItem {
            route: "/mcp".into(),
            kind: McpKind::Prompt,
            name: "summary".into(),
            arguments: vec![named("of", "7")],
        })),
    ]
}

/// Calls whose arguments are known.
fn every_call_with_arguments() -> [Object; 2] {
    let named = |name: &str, value: &str| (name.into(), value.into());
    let method =
        GrpcMethod { route: "/shop.v1.Orders/Get".into(), service: "shop.v1.Orders".into(), method: "Get".into() };
    let refund = RpcMethod { route: "/rpc".into(), method: "refund".into() };
    [
        Object::GrpcCall(Arc::new(GrpcCall { method, arguments: vec![named("id", "7")] })),
        Object::RpcCall(Arc::new(RpcCall { method: refund, arguments: vec![named("0", "7")] })),
    ]
}

/// What requests to a Kubernetes API server act on.
fn every_part_of_kubernetes(command: &Command) -> [Object; 3] {
    let resource = KubernetesResource {
        group: "apps".into(),
        version: "v1".into(),
        resource: "deployments".into(),
        subresource: "scale".into(),
        namespace: "dev".into(),
        name: "web".into(),
        container: "app".into(),
        port: "https:443".into(),
        rest: "/a".into(),
        dry_run: true,
        traits: KubernetesTrait::ALL.into(),
    };
    let at = KubernetesResource { resource: "pods".into(), name: "web".into(), ..KubernetesResource::default() };
    [
        Object::KubernetesResource(Arc::new(resource)),
        Object::KubernetesPath(Arc::new(KubernetesPath { method: "GET".into(), path: "/metrics".into() })),
        Object::KubernetesCommand(Arc::new(KubernetesCommand { at, command: command.clone() })),
    ]
}

/// Those of them that stand in a journal by themselves: a change of the key is more than its entry.
pub(crate) fn ordinary() -> Vec<Entry> {
    one_of_each().into_iter().filter(|entry| !crate::rotation::is_change(&entry.event)).collect()
}
