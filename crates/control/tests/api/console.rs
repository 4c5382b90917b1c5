//! The console: signing in, what a cookie is worth, and what pages of others are worth.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use testkit::issuer::{Grant, Issuer, Page, Twist};

use crate::world::{POLICIES, Reply, World};

/// A browser, as far as cookies go.
struct Browser<'a> {
    world: &'a World,
    cookies: Vec<(String, String)>,
}

const CALLBACK: &str = "/signin/callback";

const DESK: &str = r#"
@id("desk")
permit (principal in Group::"desk", action in [Action::"admin:read", Action::"admin:approve"], resource);
"#;

async fn world(issuer: &Issuer, more: &str) -> World {
    let config = format!(
        "[[issuer]]\nalias = \"corp\"\nurl = \"{}\"\naudience = \"sluice\"\ngroups_claim = \"groups\"\nbare_groups = \"*\"\n\
         allow_http = true\n[console]\nclient_id = \"console\"\n{more}",
        issuer.url()
    );
    World::start_with(Arc::new(TempDir::new().unwrap()), &config, &format!("{POLICIES}{DESK}")).await
}

fn issuer() -> Issuer {
    let issuer = Issuer::start().unwrap();
    issuer.register_page(Page { id: "console".into(), secret: None, path: CALLBACK.into() });
    issuer.admit("dana", Grant::new("dana").groups(["desk"]));
    issuer
}

/// The value of a header.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (of, value) = line.split_once(": ")?;
        of.eq_ignore_ascii_case(name).then_some(value)
    })
}

impl<'a> Browser<'a> {
    const fn new(world: &'a World) -> Self {
        Self { world, cookies: Vec::new() }
    }

    fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn send(&mut self, method: &str, path: &str, more: &[(&str, &str)]) -> Reply {
        let cookie = self.cookie();
        let mut headers = more.to_vec();
        headers.push(("Cookie", &cookie));
        let reply = self.world.send(method, path, &headers, "{}").await;
        for line in reply.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.cookies.retain(|(of, _)| of != name);
            if !line.contains("Max-Age=0") {
                self.cookies.push((name.into(), value.into()));
            }
        }
        reply
    }

    /// Goes to the issuer, says who one is there, and returns the path by which it comes back.
    async fn leave(&mut self, issuer: &Issuer, name: &str) -> String {
        let reply = self.send("GET", "/signin?to=/approvals", &[]).await;
        assert_eq!(reply.status, 303, "{} {}", reply.head, reply.body);
        let url = header(&reply.head, "location").unwrap().to_owned();
        let query = url.strip_prefix(&format!("{}/authorize?", issuer.url())).unwrap();
        let form = format!("{query}&person={name}");
        let address = issuer.address();
        let answer = tokio::task::spawn_blocking(move || post(address, "/authorize", &form)).await.unwrap();
        let back = header(&answer, "location").unwrap_or_else(|| panic!("{answer}"));
        back.strip_prefix(&format!("http://{}", self.world.address)).unwrap().to_owned()
    }

    async fn sign_in(&mut self, issuer: &Issuer, name: &str) -> Reply {
        let back = self.leave(issuer, name).await;
        self.send("GET", &back, &[]).await
    }

    async fn call(&mut self, method: &str, path: &str) -> Reply {
        let origin = format!("http://{}", self.world.address);
        let mut headers = vec![("Sluice-Console", "user"), ("Sec-Fetch-Site", "same-origin")];
        if method != "GET" {
            headers.extend([("Origin", origin.as_str()), ("Content-Type", "application/json")]);
        }
        self.send(method, path, &headers).await
    }
}

/// A form, and the head of the answer.
fn post(address: std::net::SocketAddr, path: &str, form: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().0.to_owned()
}

#[tokio::test]
async fn somebody_signs_in_looks_and_signs_out() {
    let issuer = issuer();
    let world = world(&issuer, "").await;
    let mut browser = Browser::new(&world);
    assert_eq!(browser.call("GET", "/v1/whoami").await.status, 401);
    let back = browser.sign_in(&issuer, "dana").await;
    assert_eq!((back.status, header(&back.head, "location")), (303, Some("/approvals")));
    let set: Vec<&str> = back.head.lines().filter(|line| line.starts_with("set-cookie: ")).collect();
    assert!(
        set.iter().any(|line| line.contains("__Host-sluice=") && line.contains("HttpOnly; SameSite=Strict")),
        "{set:?}"
    );
    assert!(set.iter().all(|line| line.contains("; Path=/; Secure; HttpOnly") && !line.contains("Domain")), "{set:?}");
    assert!(!back.head.contains("eyJ"), "a token is in no browser");
    let who = browser.call("GET", "/v1/whoami").await.json();
    assert_eq!((&who["subject"]["id"], &who["subject"]["issuer"]), (&"dana".into(), &"corp".into()));
    assert_eq!(who["may"], serde_json::json!(["admin:read", "admin:approve"]));
    assert_eq!(browser.call("GET", "/v1/approvals").await.status, 200);
    assert_eq!(browser.call("GET", "/v1/sessions").await.status, 403, "what a cookie may is what its subject may");
    let cookie = browser.cookie();
    assert_eq!(browser.call("POST", "/signout").await.status, 200);
    assert_eq!(browser.cookie(), "");
    let origin = format!("http://{}", world.address);
    let again = [
        ("Cookie", cookie.as_str()),
        ("Sluice-Console", "user"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Origin", &origin),
    ];
    assert_eq!(world.send("GET", "/v1/whoami", &again, "").await.status, 401, "it is ended, not only forgotten");
    let journal = format!("{:?}", world.journal());
    assert!(journal.contains("console.sign_in") && journal.contains("console.sign_out"), "{journal}");
}

/// ID-22: whatever of a sign-in is missing, foreign or used again, nobody is let in.
#[tokio::test]
async fn id_22_a_sign_in_that_is_not_this_browsers_own_lets_nobody_in() {
    let issuer = issuer();
    issuer.admit("mallory", Grant::new("mallory"));
    let world = world(&issuer, "").await;
    let failed = |reply: &Reply| {
        assert_eq!(header(&reply.head, "location"), Some("/?signin=failed"), "{}", reply.head);
        assert!(!reply.head.contains("__Host-sluice="), "{}", reply.head);
    };
    // Login CSRF: another browser's answer.
    let mut other = Browser::new(&world);
    let foreign = other.leave(&issuer, "mallory").await;
    let mut browser = Browser::new(&world);
    failed(&browser.send("GET", &foreign, &[]).await);
    let _ = browser.leave(&issuer, "dana").await;
    failed(&browser.send("GET", &foreign, &[]).await);
    let changes: [fn(&str) -> String; 6] = [
        |back| back.replace("state=", "state=x"),
        |back| back.replace("state=", "other="),
        |back| back.replace("code=", "code=x"),
        |back| back.replace("code=", "other="),
        |back| back.replace("&iss=http", "&iss=https"),
        |back| back.replace("code=", "error=access_denied&code="),
    ];
    for change in changes {
        let mut browser = Browser::new(&world);
        let back = browser.leave(&issuer, "dana").await;
        failed(&browser.send("GET", &change(&back), &[]).await);
        // The cookie of the attempt is gone, so that the right answer comes too late.
        failed(&browser.send("GET", &back, &[]).await);
    }
    // A code that was used.
    let mut browser = Browser::new(&world);
    let back = browser.leave(&issuer, "dana").await;
    let cookies = browser.cookies.clone();
    assert_eq!(header(&browser.send("GET", &back, &[]).await.head, "location"), Some("/approvals"));
    let mut again = Browser { world: &world, cookies };
    failed(&again.send("GET", &back, &[]).await);
    for twist in [Twist::Nonce, Twist::Audience, Twist::Subject, Twist::NoIdToken] {
        issuer.twist(twist);
        failed(&Browser::new(&world).sign_in(&issuer, "dana").await);
    }
}

/// ID-32: a cookie counts on calls of the console's own pages alone.
#[tokio::test]
async fn id_32_a_cookie_is_worth_nothing_on_the_page_of_another() {
    let issuer = issuer();
    let world = world(&issuer, "").await;
    let mut browser = Browser::new(&world);
    browser.sign_in(&issuer, "dana").await;
    let own = format!("http://{}", world.address);
    let (mark, site) = (("Sluice-Console", "user"), ("Sec-Fetch-Site", "same-origin"));
    let get: [&[(&str, &str)]; 7] = [
        &[],
        &[mark],
        &[site],
        &[mark, ("Sec-Fetch-Site", "cross-site")],
        &[mark, ("Sec-Fetch-Site", "same-site")],
        &[mark, ("Sec-Fetch-Site", "none")],
        &[("Sluice-Console", "anything"), site],
    ];
    for headers in get {
        assert_eq!(browser.send("GET", "/v1/approvals", headers).await.status, 403, "{headers:?}");
    }
    let path = "/v1/approvals/apr-0000000000001/answer";
    let origins: [&[(&str, &str)]; 3] = [&[], &[("Origin", "null")], &[("Origin", "https://evil.example")]];
    for origin in origins {
        let headers = [&[mark, site], origin].concat();
        let status = browser.send("POST", path, &headers).await.status;
        assert!(matches!(status, 403 | 421), "{headers:?}: {status}");
    }
    assert_eq!(browser.send("POST", path, &[("Origin", own.as_str()), site]).await.status, 403);
    let right = browser.send("POST", path, &[mark, site, ("Origin", &own), ("Content-Type", "application/json")]).await;
    assert_eq!(right.status, 400, "let through to its handler: {}", right.body);
    // Beside a header that says who one is, the cookie says nothing.
    let both = browser.send("GET", "/v1/approvals", &[mark, site, ("Authorization", "Bearer x")]).await;
    assert_eq!(both.status, 401);
    // Nor does a second one.
    let (name, value) = browser.cookies[0].clone();
    browser.cookies.push((name, value));
    assert_eq!(browser.call("GET", "/v1/approvals").await.status, 401);
}

/// ID-32: who signs in gets a word of their own, whatever their browser brought along.
#[tokio::test]
async fn id_32_no_session_is_fixed_ahead() {
    let issuer = issuer();
    let world = world(&issuer, "").await;
    let mut browser = Browser::new(&world);
    browser.cookies.push(("__Host-sluice".into(), "planted".into()));
    browser.sign_in(&issuer, "dana").await;
    let first = browser.cookie();
    assert!(!first.contains("planted"));
    browser.sign_in(&issuer, "dana").await;
    assert_ne!(browser.cookie(), first);
    let mut before = Browser::new(&world);
    let (name, value) = first.split_once('=').unwrap();
    before.cookies.push((name.into(), value.into()));
    assert_eq!(before.call("GET", "/v1/whoami").await.status, 401);
}

#[tokio::test]
async fn nobody_is_signed_in_longer_than_their_token_or_than_they_are_believed() {
    let issuer = issuer();
    issuer.admit("brief", Grant::new("brief").lifetime(Duration::from_secs(2)));
    let world = world(&issuer, "").await;
    let (mut brief, mut dana) = (Browser::new(&world), Browser::new(&world));
    brief.sign_in(&issuer, "brief").await;
    dana.sign_in(&issuer, "dana").await;
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while brief.call("GET", "/v1/whoami").await.status != 401 {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(dana.call("GET", "/v1/whoami").await.status, 200);
    let admin = world.token("admin", &["sessions"]);
    let body = serde_json::json!({ "subject": "corp|dana", "reason": "left" });
    let revoked = world.post("/v1/revocations", &admin, &body).await;
    assert!(revoked.status < 300, "{}", revoked.body);
    assert_eq!(dana.call("GET", "/v1/whoami").await.status, 401);
}

#[tokio::test]
async fn a_client_with_a_secret_shows_it() {
    let issuer = Issuer::start().unwrap();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("secret");
    testkit::tls::write_private(&file, b"s3cret").unwrap();
    issuer.register_page(Page { id: "console".into(), secret: Some("s3cret".into()), path: CALLBACK.into() });
    issuer.admit("dana", Grant::new("dana"));
    for (method, is_let_in) in [("client_secret_basic", true), ("client_secret_post", true)] {
        let more = format!("client_secret = {{ file = \"{}\" }}\nmethod = \"{method}\"\n", file.display());
        let world = world(&issuer, &more).await;
        let back = Browser::new(&world).sign_in(&issuer, "dana").await;
        assert_eq!(header(&back.head, "location") == Some("/approvals"), is_let_in, "{method}");
    }
    let world = world(&issuer, "").await;
    let back = Browser::new(&world).sign_in(&issuer, "dana").await;
    assert_eq!(header(&back.head, "location"), Some("/?signin=failed"), "without it");
}

#[tokio::test]
async fn pages_run_nothing_of_others_and_are_in_no_frame() {
    let issuer = issuer();
    let world = world(&issuer, "").await;
    for path in [
        "/",
        "/approvals",
        "/approvals/apr-0000000000001",
        "/sessions",
        "/sessions/0000000000001?at=1",
        "/audit",
        "/policy",
        "/access",
        "/targets",
    ] {
        let page = world.send("GET", path, &[], "").await;
        assert!(matches!(page.status, 200 | 503), "{path}: {}", page.status);
        let policy = header(&page.head, "content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(header(&page.head, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&page.head, "referrer-policy"), Some("no-referrer"));
        assert_eq!(header(&page.head, "cross-origin-opener-policy"), Some("same-origin"));
        assert!(matches!(header(&page.head, "cache-control"), Some("no-cache" | "no-store")));
        assert_eq!(world.send("POST", path, &[], "").await.status, 405);
    }
    for missing in ["/assets/none.js", "/assets/..%2findex.html", "/assets/.gitkeep", "/approvals/a/b", "/nothing"] {
        let reply = world.send("GET", missing, &[], "").await;
        assert_eq!(reply.status, 404, "{missing}");
    }
    assert_eq!(world.send("GET", "/v1/nothing", &[], "").await.json()["status"], 404, "the API's paths are its own");
}

#[tokio::test]
async fn without_a_console_there_are_no_pages_and_no_sign_in() {
    let world = World::start().await;
    for path in ["/", "/approvals", "/assets/x.js", "/signin", "/signin/callback?code=x&state=y"] {
        assert_eq!(world.send("GET", path, &[], "").await.status, 404, "{path}");
    }
    let cookie = [("Cookie", "__Host-sluice=x"), ("Sluice-Console", "user"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(world.send("GET", "/v1/whoami", &cookie, "").await.status, 401);
}

#[tokio::test]
async fn the_issuer_is_asked_safely_or_nobody_signs_in() {
    let issuer = issuer();
    let world = world(&issuer, "").await;
    issuer.fail(testkit::issuer::Fault::ServerError);
    let reply = world.send("GET", "/signin", &[], "").await;
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert!(!reply.body.contains("127.0.0.1"), "{}", reply.body);
}
