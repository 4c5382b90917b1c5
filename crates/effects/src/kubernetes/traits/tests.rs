use super::*;

fn of(text: &str) -> Vec<&'static str> {
    of_object(&Json::parse(text.as_bytes()).unwrap()).into_iter().map(Trait::as_str).collect()
}

#[test]
fn what_a_pod_asks_for_is_found_wherever_it_stands() {
    for (spec, expected) in [
        (r#"{"containers":[{"securityContext":{"privileged":true}}]}"#, vec!["privileged"]),
        (r#"{"initContainers":[{"securityContext":{"privileged":true}}]}"#, vec!["privileged"]),
        (r#"{"ephemeralContainers":[{"securityContext":{"Privileged":true}}]}"#, vec!["privileged"]),
        (r#"{"securityContext":{"windowsOptions":{"hostProcess":true}}}"#, vec!["privileged"]),
        (r#"{"volumes":[{"hostPath":{"path":"/"}}]}"#, vec!["host_path"]),
        (r#"{"volumes":[{"hostPath":null}]}"#, vec![]),
        (r#"{"hostNetwork":true,"hostPID":true,"hostIPC":true}"#, vec!["host_network", "host_pid", "host_ipc"]),
        (r#"{"containers":[{"ports":[{"hostPort":80}]}]}"#, vec!["host_network"]),
        (r#"{"containers":[{"ports":[{"hostPort":0}]}]}"#, vec![]),
        (r#"{"containers":[{"securityContext":{"capabilities":{"add":["cap_sys_admin"]}}}]}"#, vec!["capabilities"]),
        (r#"{"containers":[{"securityContext":{"capabilities":{"add":["ALL"]}}}]}"#, vec!["capabilities"]),
        (r#"{"containers":[{"securityContext":{"capabilities":{"add":["CAP_CHOWN"],"drop":["ALL"]}}}]}"#, vec![]),
        (r#"{"containers":[{"securityContext":{"allowPrivilegeEscalation":true}}]}"#, vec!["privilege_escalation"]),
        (r#"{"securityContext":{"seccompProfile":{"type":"Unconfined"}}}"#, vec!["unconfined"]),
        (r#"{"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}}}"#, vec![]),
        (r#"{"securityContext":{"sysctls":[{"name":"a","value":"b"}]}}"#, vec!["unconfined"]),
        (r#"{"containers":[{"securityContext":{"procMount":"Unmasked"}}]}"#, vec!["unconfined"]),
        (r#"{"securityContext":{"runAsUser":0}}"#, vec!["root"]),
        (r#"{"securityContext":{"runAsUser":1000}}"#, vec![]),
        (r#"{"serviceAccountName":"admin"}"#, vec!["service_account"]),
        (r#"{"serviceAccountName":"default","serviceAccount":""}"#, vec![]),
    ] {
        assert_eq!(of(&format!(r#"{{"spec":{spec}}}"#)), expected, "{spec}");
        let nested = format!(r#"{{"spec":{{"jobTemplate":{{"spec":{{"template":{{"spec":{spec}}}}}}}}}}}"#);
        assert_eq!(of(&nested), expected, "{nested}");
    }
}

#[test]
fn data_is_no_specification() {
    let map = r#"{"data":{"privileged":"false","hostPath":"a"},"metadata":{"annotations":{"x":"privileged: true"}}}"#;
    assert_eq!(of(map), Vec::<&str>::new());
    assert_eq!(of(r#"{"status":{"replicas":0,"hostPID":true}}"#), Vec::<&str>::new());
}

/// A mask never becomes data: an object that was read, and is put back.
#[test]
fn a_mask_is_found_where_a_secret_was() {
    assert_eq!(of(r#"{"data":{"password":"W3NlY3JldF0="}}"#), ["masked"]);
    assert_eq!(of(r#"{"stringData":{"password":"[secret]"}}"#), ["masked"]);
    assert_eq!(of(r#"{"data":{"password":"W3NlY3JldA=="}}"#), Vec::<&str>::new());
}

#[test]
fn what_gives_every_right_is_found() {
    let of = |text: &str| {
        let mut out = BTreeSet::new();
        of_rights(&Json::parse(text.as_bytes()).unwrap(), &mut out);
        out.into_iter().map(Trait::as_str).collect::<Vec<_>>()
    };
    for (text, expected) in [
        (r#"{"rules":[{"verbs":["*"],"resources":["pods"],"apiGroups":[""]}]}"#, vec!["broad_rights"]),
        (r#"{"rules":[{"verbs":["get"],"resources":["*"],"apiGroups":[""]}]}"#, vec!["broad_rights"]),
        (r#"{"rules":[{"verbs":["impersonate"],"resources":["users"]}]}"#, vec!["broad_rights"]),
        (r#"{"aggregationRule":{"clusterRoleSelectors":[]}}"#, vec!["broad_rights"]),
        (r#"{"rules":[{"verbs":["get","list"],"resources":["pods"],"apiGroups":[""]}]}"#, vec![]),
        (r#"{"roleRef":{"name":"cluster-admin"},"subjects":[]}"#, vec!["cluster_admin"]),
        (r#"{"roleRef":{"name":"view"},"subjects":[{"kind":"Group","name":"system:masters"}]}"#, vec!["cluster_admin"]),
        (r#"{"roleRef":{"name":"view"},"subjects":[{"name":"eve"}]}"#, vec![]),
    ] {
        assert_eq!(of(text), expected, "{text}");
    }
}
