//! Requests of a channel or a connection other than to run a line (RFC 4254).

use std::net::IpAddr;
use std::sync::Arc;

use model::effect::{Effect, Endpoint, Object, Verb};

use super::request::{Carries, Request};
use super::variables;

/// The variable that says why, in the caller's words (RULES.md 19): Sluice's own, and never sent to a target.
const REASON: &str = "SLUICE_REASON";

/// What setting a variable is (RFC 4254, section 6.4).
#[derive(Clone, PartialEq, Debug)]
pub enum Environment {
    /// The caller's reason.
    Reason(String),
    /// A variable of the target.
    Setting(Request),
}

/// The login's shell (RFC 4254, section 6.5).
pub fn shell(interactive: bool) -> Request {
    let mut request = Request::of("shell", vec![Effect::new(Verb::Shell, Object::Login)], &[]);
    request.carries = if interactive { Carries::Terminal } else { Carries::Text };
    request
}

/// A subsystem. Of any other than `sftp` nobody knows what it does.
pub fn subsystem(name: &[u8]) -> Request {
    let name = String::from_utf8_lossy(name);
    if name != "sftp" {
        return Request::of("subsystem", vec![], &[&name]).opaque("a subsystem other than sftp");
    }
    let mut request = Request::of("subsystem", vec![Effect::new(Verb::Sftp, Object::Login)], &[&name]);
    request.carries = Carries::Sftp;
    request
}

/// A variable of the environment. Its name has to be one that shells have, and neither may be anything but UTF-8.
pub fn environment(name: &[u8], value: &[u8]) -> Environment {
    let (shown_name, shown_value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    if shown_name == REASON {
        return Environment::Reason(shown_value.into_owned());
    }
    let class = variables::class(&shown_name);
    let effect = Effect::new(Verb::Set, Object::Setting(Arc::from(&*shown_name), class));
    let assignment = format!("{shown_name}={shown_value}");
    let masked = super::secrets::in_command(&[&assignment]).pop().flatten();
    let shown_value = masked.map_or_else(|| shown_value.into_owned(), |_| super::secrets::MARK.to_owned());
    let request = Request::of("env", vec![effect], &[&shown_name, &shown_value]);
    let is_text = std::str::from_utf8(name).is_ok() && !value.contains(&0) && std::str::from_utf8(value).is_ok();
    Environment::Setting(if is_text { request } else { request.opaque("a variable that is not text") })
}

/// A terminal of this type (RFC 4254, section 6.2).
pub fn pty(term: &[u8]) -> Request {
    Request::of("pty", vec![Effect::new(Verb::Pty, Object::Login)], &[&String::from_utf8_lossy(term)])
}

/// Forwarding of the authentication agent.
pub fn agent_forward() -> Request {
    Request::of("agent-forward", vec![Effect::new(Verb::AgentForward, Object::Login)], &[])
}

/// Forwarding of X11 (RFC 4254, section 6.3).
pub fn x11() -> Request {
    Request::of("x11", vec![Effect::new(Verb::X11, Object::Login)], &[])
}

/// A connection from the target onward (RFC 4254, section 7.2). `addresses` are all that the name stands for, as the
/// connection may go to any of them; with none it is an effect without an address.
pub fn direct_tcpip(host: &str, port: u32, addresses: &[IpAddr]) -> Request {
    let name: Arc<str> = canonical(host).into();
    let known = host.parse().ok();
    let addresses = if addresses.is_empty() { vec![known] } else { addresses.iter().copied().map(Some).collect() };
    let to = |address| Object::Endpoint(Endpoint::Tcp { host: Arc::clone(&name), port, address });
    let effects = addresses.into_iter().map(|address| Effect::new(Verb::Forward, to(address))).collect();
    Request::of("direct-tcpip", effects, &[&name, &port.to_string()])
}

/// A listener at the target (RFC 4254, section 7.1): `""` is every address that it has, 0 is any port.
pub fn tcpip_forward(address: &str, port: u32) -> Request {
    let host = canonical(address);
    let object = Endpoint::Tcp { host: host.as_str().into(), port, address: address.parse().ok() };
    let effect = Effect::new(Verb::ListenForward, Object::Endpoint(object));
    Request::of("tcpip-forward", vec![effect], &[&host, &port.to_string()])
}

/// A connection to a Unix socket of the target (`direct-streamlocal@openssh.com`, OpenSSH's PROTOCOL, section 2.4).
pub fn direct_streamlocal(path: &str) -> Request {
    socket("direct-streamlocal", Verb::Forward, path)
}

/// A Unix socket that the target listens on (`streamlocal-forward@openssh.com`).
pub fn streamlocal_forward(path: &str) -> Request {
    socket("streamlocal-forward", Verb::ListenForward, path)
}

fn socket(kind: &'static str, verb: Verb, path: &str) -> Request {
    let effect = |path: &str| Effect::new(verb, Object::Endpoint(Endpoint::Socket(path.into())));
    match super::path::normal(path).filter(|_| path.starts_with('/')) {
        Some(normal) => Request::of(kind, vec![effect(&normal)], &[&normal]),
        None => Request::of(kind, vec![effect(path)], &[path]).opaque("a socket without an absolute path"),
    }
}

/// A name as policies compare it: in lower case, and without the dot that ends a full one.
fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::effect::SettingClass;

    fn effects(request: &Request) -> Vec<String> {
        request.effects.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sh_02_each_kind_of_channel_has_its_own_verb() {
        assert_eq!(effects(&shell(true)), ["ssh:shell login"]);
        assert_eq!(shell(true).carries, Carries::Terminal);
        assert_eq!(effects(&subsystem(b"sftp")), ["ssh:sftp login"]);
        assert_eq!(subsystem(b"sftp").carries, Carries::Sftp);
        for name in [&b"netconf"[..], b"sftp ", b"SFTP", b"", b"\xff"] {
            assert_eq!(effects(&subsystem(name)), ["opaque login"]);
        }
        assert_eq!(effects(&pty(b"xterm")), ["ssh:pty login"]);
        assert_eq!(effects(&agent_forward()), ["ssh:agent login"]);
        assert_eq!(effects(&x11()), ["ssh:x11 login"]);
    }

    #[test]
    fn sh_03_forwarding_is_an_effect_for_each_address() {
        let addresses = ["10.0.0.5", "169.254.169.254"].map(|address| address.parse().unwrap());
        let request = direct_tcpip("DB.internal.", 5432, &addresses);
        let expected = [
            "ssh:forward endpoint db.internal:5432 (10.0.0.5)",
            "ssh:forward endpoint db.internal:5432 (169.254.169.254)",
        ];
        assert_eq!(effects(&request), expected);
        assert_eq!(
            (request.statement.as_str(), request.shown.as_str()),
            ("direct-tcpip $1 $2", "direct-tcpip db.internal 5432")
        );
        assert_eq!(effects(&direct_tcpip("unknown", 1, &[])), ["ssh:forward endpoint unknown:1"]);
        assert_eq!(effects(&tcpip_forward("", 0)), ["ssh:listen endpoint :0"]);
        assert_eq!(effects(&direct_streamlocal("/run/../run/x")), ["ssh:forward endpoint socket /run/x"]);
        assert_eq!(effects(&streamlocal_forward("x")), ["ssh:listen endpoint socket x", "opaque login"]);
    }

    #[test]
    fn variables_are_settings_but_for_the_reason() {
        assert_eq!(environment(b"SLUICE_REASON", b"INC-42"), Environment::Reason("INC-42".into()));
        let setting = |name: &[u8], value: &[u8]| match environment(name, value) {
            Environment::Setting(request) => request,
            Environment::Reason(_) => panic!("it is none"),
        };
        let lang = setting(b"LANG", b"C.UTF-8");
        assert_eq!(lang.effects, [Effect::new(Verb::Set, Object::Setting("LANG".into(), SettingClass::Benign))]);
        assert_eq!(effects(&setting(b"LD_PRELOAD", b"/tmp/x")), ["set setting LD_PRELOAD (server)"]);
        assert_eq!(effects(&setting(b"LANG", b"\xff")), ["set setting LANG (benign)", "opaque login"]);
        let secret = setting(b"DB_PASSWORD", b"C4NARY");
        assert!(!secret.shown.contains("C4NARY") && !format!("{:?}", secret.values).contains("C4NARY"));
    }
}
