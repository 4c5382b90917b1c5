//! What requests to an API server do: its own reading of them, as its `RequestInfoFactory` wrote it down, and the effects that
//! Sluice makes of them, as a file to be reviewed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p effects --test kubernetes` writes the second file anew;
//! `go run . < requests.txt > …/requestinfo.tsv` in `tests/kubernetes/requestinfo` the first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt::Write;

use effects::http::{Body, Call, Pair};
use effects::kubernetes::{Api, RequestInfo};
use model::effect::{Object, Verb};
use model::http::Media;
use model::http::protobuf::push_varint;
use proptest::prelude::*;

const TRUTH: &str = include_str!("kubernetes/requestinfo.tsv");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes/requests.txt");

/// A query as `wire::http::Query` reads it.
fn query(text: &str) -> Vec<Pair> {
    let decoded = |text: &str| {
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        while let [first, behind @ ..] = rest {
            if *first == b'%' {
                out.push(u8::from_str_radix(std::str::from_utf8(&behind[..2]).unwrap(), 16).unwrap());
                rest = &behind[2..];
            } else {
                out.push(*first);
                rest = behind;
            }
        }
        String::from_utf8(out).unwrap()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (decoded(name).into(), Some(decoded(value).into())),
            None => (decoded(pair).into(), None),
        })
        .collect()
}

/// K8-07: every row of the API server's own table, field by field.
#[test]
fn k8_07_request_lines_mean_what_the_api_server_takes_them_for() {
    let mut wrong = String::new();
    for row in TRUTH.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let (path, given) = fields[1].split_once('?').unwrap_or((fields[1], ""));
        let read = match RequestInfo::of(fields[0], path, &query(given)) {
            None => vec!["error".to_owned()],
            Some(info) => {
                let kind = if info.is_resource { "resource" } else { "path" };
                let parts = info.parts.join("/");
                vec![
                    kind.to_owned(),
                    info.verb,
                    info.prefix,
                    info.group,
                    info.version,
                    info.namespace,
                    info.resource,
                    info.subresource,
                    info.name,
                    parts,
                ]
            }
        };
        if read != fields[2..] {
            writeln!(wrong, "{}\n  the API server: {:?}\n  Sluice:         {read:?}", row, &fields[2..]).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(TRUTH.lines().count() > 500);
}

/// A request as a line of the file has it: method (`+` behind it for an upgrade), path and query, and behind ` | ` a media
/// type and a body.
fn analysed(line: &str) -> effects::http::Request {
    let mut parts = line.splitn(3, " | ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let (method, upgrade) = method.strip_suffix('+').map_or((method, false), |method| (method, true));
    let (path, given) = target.split_once('?').unwrap_or((target, ""));
    let query = query(given);
    let media = parts.next().map(|media| Media::parse(media).unwrap());
    let body = match parts.next() {
        None => Body::None,
        Some("…") => Body::Unread,
        Some(body) => Body::Whole(body.as_bytes()),
    };
    Api.analyse(&Call {
        method,
        host: "kube.example",
        path,
        query: &query,
        media: media.as_ref(),
        body,
        coding: None,
        upgrade,
    })
}

fn described(line: &str) -> String {
    let mut out = format!("$ {line}\n");
    let request = analysed(line);
    for effect in &request.effects {
        writeln!(out, "  {effect}").unwrap();
    }
    writeln!(out, "  = {}", request.statement).unwrap();
    for (at, value) in request.values.iter().enumerate() {
        writeln!(out, "    ${}: {value:?}", at + 1).unwrap();
    }
    if let Some(why) = &request.facts.opaque {
        writeln!(out, "  not understood: {why}").unwrap();
    }
    if !request.facts.bounded {
        out.push_str("  unbounded\n");
    }
    for rule in request.answer.rules("kube", &model::classification::Classification::default()) {
        writeln!(out, "  hides {}", rule.path).unwrap();
    }
    out
}

#[test]
fn what_requests_do_is_as_it_was_reviewed() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let heads = text.lines().take_while(|line| line.starts_with('#'));
    let mut now: String = heads.map(|line| format!("{line}\n")).collect();
    for line in lines {
        now.push_str(&format!("\n{}", described(line)));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, now).unwrap();
    } else {
        assert_eq!(text, now);
    }
}

fn verbs(line: &str) -> Vec<Verb> {
    analysed(line).effects.into_iter().map(|effect| effect.verb).collect()
}

/// K8-01: an upgrade by GET does what POST does.
#[test]
fn k8_01_a_stream_is_the_same_verb_whatever_the_method() {
    for (part, verb) in [
        ("exec?command=id", Verb::KubernetesExec),
        ("attach", Verb::KubernetesAttach),
        ("portforward", Verb::KubernetesPortForward),
        ("proxy/", Verb::KubernetesProxy),
    ] {
        for method in ["GET+", "POST+", "GET", "POST", "CONNECT+", "PUT", "OPTIONS"] {
            let found = verbs(&format!("{method} /api/v1/namespaces/dev/pods/web/{part}"));
            assert_eq!(found[0], verb, "{method} {part}");
            assert!(found.iter().all(|found| *found == verb), "{method} {part}: {found:?}");
        }
    }
}

/// K8-02: whoever reaches a kubelet or a service through the API server uses its rights there.
#[test]
fn k8_02_every_way_through_the_api_server_is_proxy() {
    for path in [
        "/api/v1/nodes/n1/proxy/exec/dev/web/c",
        "/api/v1/nodes/n1:10250/proxy/run/dev/web/c",
        "/api/v1/nodes/n1/proxy",
        "/api/v1/proxy/nodes/n1/attach",
        "/api/v1/namespaces/dev/pods/web/proxy",
        "/api/v1/namespaces/dev/pods/https:web:8443/proxy/x",
        "/api/v1/proxy/namespaces/dev/pods/web",
        "/api/v1/namespaces/dev/services/http:grafana:80/proxy/",
    ] {
        for method in ["GET", "POST", "HEAD", "GET+"] {
            let request = analysed(&format!("{method} {path}"));
            assert_eq!(request.effects[0].verb, Verb::KubernetesProxy, "{method} {path}");
            let Object::KubernetesResource(resource) = &request.effects[0].object else { panic!("{path}") };
            assert!(["n1", "web", "grafana"].contains(&&*resource.name), "{}", resource.name);
        }
    }
}

/// K8-03: what gives rights, or a way in, is a verb of its own.
#[test]
fn k8_03_parts_that_give_rights_are_verbs_of_their_own() {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    for (path, verb) in [
        ("/api/v1/namespaces/dev/pods/web/ephemeralcontainers".to_owned(), Verb::KubernetesDebug),
        ("/api/v1/namespaces/dev/pods/web/eviction".to_owned(), Verb::KubernetesEvict),
        ("/api/v1/namespaces/dev/pods/web/binding".to_owned(), Verb::KubernetesSchedule),
        ("/api/v1/namespaces/dev/bindings".to_owned(), Verb::KubernetesSchedule),
        ("/api/v1/namespaces/dev/serviceaccounts/ci/token".to_owned(), Verb::KubernetesToken),
        ("/apis/certificates.k8s.io/v1/certificatesigningrequests/a/approval".to_owned(), Verb::KubernetesApprove),
        (format!("{rbac}/namespaces/dev/rolebindings/a"), Verb::KubernetesBind),
        (format!("{rbac}/clusterrolebindings/a"), Verb::KubernetesBind),
        (format!("{rbac}/namespaces/dev/roles/a"), Verb::KubernetesEscalate),
        (format!("{rbac}/clusterroles/a"), Verb::KubernetesEscalate),
    ] {
        for method in ["POST", "PUT", "PATCH"] {
            let found = verbs(&format!("{method} {path} | application/json | {{}}"));
            assert!(found.contains(&verb), "{method} {path}: {found:?}");
        }
    }
}

fn paths() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("api".to_owned()),
        Just("apis".to_owned()),
        Just("v1".to_owned()),
        Just("watch".to_owned()),
        Just("proxy".to_owned()),
        Just("namespaces".to_owned()),
        Just("pods".to_owned()),
        Just("exec".to_owned()),
        "[a-z%/:.]{0,4}",
    ];
    proptest::collection::vec(name, 0..9).prop_map(|names| format!("/{}", names.join("/")))
}

proptest! {
    /// Whatever is asked has an effect, and what the API server takes for a stream is one here.
    #[test]
    fn every_request_has_an_effect(
        method in "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|[A-Z]{1,4}",
        path in paths(),
        body in "\\PC{0,40}",
        upgrade in any::<bool>(),
    ) {
        let media = Media::parse("application/yaml").unwrap();
        let body = Body::Whole(body.as_bytes());
        let call = Call { method: &method, host: "k", path: &path, query: &[], media: Some(&media), body, coding: None, upgrade };
        let request = Api.analyse(&call);
        prop_assert!(!request.effects.is_empty());
        if let Some(info) = RequestInfo::of(&method, &path, &[])
            && info.is_resource && info.subresource == "exec"
        {
            prop_assert_eq!(request.effects[0].verb, Verb::KubernetesExec);
        }
    }
}

/// What the body of a request for a resource asks for.
fn traits(media: &str, path: &str, body: &[u8]) -> Vec<&'static str> {
    let (media, body) = (Media::parse(media).unwrap(), Body::Whole(body));
    let call =
        Call { method: "POST", host: "k", path, query: &[], media: Some(&media), body, coding: None, upgrade: false };
    let request = Api.analyse(&call);
    let Object::KubernetesResource(resource) = &request.effects[0].object else { panic!("{path}") };
    resource.traits.iter().map(|one| one.as_str()).collect()
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(value, &mut out);
    out
}

/// A field that is a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that is bytes.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(u64::try_from(content.len()).unwrap()), content.to_vec()].concat()
}

/// K8-07: what a reader of 32 bits and one that lays repeated fields over each other take otherwise is not known.
#[test]
fn k8_07_protobuf_that_readers_take_otherwise_is_unknown() {
    let pod = |security: &[u8]| {
        let container = bytes(2, &bytes(15, security));
        let kind = [bytes(1, b"v1"), bytes(2, b"Pod")].concat();
        let envelope = [bytes(1, &kind), bytes(2, &bytes(2, &container))].concat();
        traits(PROTOBUF, "/api/v1/namespaces/dev/pods", &[b"k8s\0".as_slice(), &envelope].concat())
    };
    assert_eq!(pod(&number(2, 1)), ["privileged"]);
    assert_eq!(pod(&number(2, 0)), [""; 0]);
    assert_eq!(pod(&number((1 << 32) + 2, 1)), ["unknown"]);
    assert_eq!(pod(&number(0, 1)), ["unknown"]);
    assert_eq!(pod(&[number(2, 0), number(2, 1)].concat()), ["unknown"]);
    assert_eq!(pod(&number(4, 1 << 32)), ["root"]);
}

/// What clients send in protobuf asks for the same as in JSON: both forms of each manifest, as k8s.io/api writes them.
#[test]
fn protobuf_is_read_like_json() {
    let mut seen = std::collections::BTreeSet::new();
    for row in include_str!("kubernetes/protobuf.tsv").lines() {
        let (digits, manifest) = row.split_once('\t').unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let path = match manifest.contains("rbac.authorization.k8s.io/v1") {
            true => "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            false => "/api/v1/namespaces/dev/pods",
        };
        let expected = traits("application/json", path, manifest.as_bytes());
        assert_eq!(traits(PROTOBUF, path, &bytes), expected, "{manifest}");
        seen.extend(expected);
        // What is cut is not known.
        let cut = traits(PROTOBUF, path, &bytes[..bytes.len() - 1]);
        assert_eq!(cut, ["unknown"], "{manifest}");
    }
    assert_eq!(seen.len(), 14, "{seen:?}");
    assert_eq!(traits(PROTOBUF, "/api/v1/pods", b"k8s"), ["unknown"]);
}
