//! What becomes of sessions whose token only its issuer can read, at an issuer that says what a test tells it to.

use std::net::IpAddr;

use model::id::SessionId;
use serde_json::{Value, json};
use store::config::{ClientAuthentication, CredentialSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::sessions::{CancelKey, Entered, LiveSession, Signal, Signals};

const TOKEN: &str = "only-its-issuer-can-read-it";

/// An endpoint that gives the answer of the moment; none is a 500.
struct Endpoint {
    url: String,
    answer: Arc<Mutex<Option<Value>>>,
    asked: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/introspect", listener.local_addr().unwrap());
        let (answer, asked) = (Arc::new(Mutex::new(None::<Value>)), Arc::new(Mutex::new(0)));
        let (says, counts) = (Arc::clone(&answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                // The form is one short line, which comes last.
                while !String::from_utf8_lossy(&request).ends_with("access_token") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                *counts.lock().unwrap() += 1;
                let body = says.lock().unwrap().as_ref().map(Value::to_string);
                let status = if body.is_some() { "200 OK" } else { "500 Gone" };
                let body = body.unwrap_or_default();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, answer, asked, task }
    }

    fn says(&self, answer: Option<Value>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn introspectors(&self, max_outage: Duration) -> Introspectors {
        let config = IntrospectionConfig {
            url: Some(self.url.clone()),
            client_id: "sluice".to_owned(),
            client_secret: CredentialSource::Env("UNUSED".to_owned()),
            method: ClientAuthentication::Basic,
            token_prefix: None,
            // Due at once, whenever it is looked at.
            max_age: Duration::ZERO,
            max_outage,
            ca_file: None,
        };
        let mut issuer = Issuer::new("corp", "https://id.example.com", "sluice");
        issuer.groups_claim = model::issuer::ClaimPath::new(["groups"]);
        let secret: Secrets = Arc::new(|| Ok(Secret::new("secret".to_owned())));
        let introspectors = Introspectors::default();
        introspectors.replace(vec![Asked { issuer: Arc::new(issuer), config, secret }]);
        introspectors
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn active(groups: &[&str]) -> Option<Value> {
    let now = clock::now().seconds();
    Some(json!({"active": true, "aud": "sluice", "sub": "jane", "iat": now, "exp": now + 300, "token_type": "Bearer",
                "groups": groups}))
}

/// A session that lives by the token.
fn session(sessions: &Arc<Sessions>, subject: &Subject) -> (Arc<Signals>, Entered) {
    let signals = Arc::<Signals>::default();
    signals.live_by(subject.token_id.clone());
    let live = LiveSession {
        session: SessionId::from_bits(7),
        subject: subject.key.clone(),
        on_behalf_of: Vec::new(),
        target: "payments".into(),
        database: "payments".into(),
        source: IpAddr::from([127, 0, 0, 1]),
        opened_at: clock::now(),
        binding: subject.binding,
        certificate: None,
        awaits_observer: Vec::new(),
    };
    let cancel = CancelKey { process_id: 1, secret: vec![0; 4] };
    let place = sessions.admit_subject(&subject.key, 1).unwrap();
    let entered = sessions.enter(live, Arc::clone(&signals), Some(cancel), place);
    (signals, entered)
}

async fn log_in(introspectors: &Introspectors) -> Subject {
    introspectors.about(TOKEN).unwrap().verify(TOKEN, &Proven::NOTHING, 3).await.unwrap()
}

#[tokio::test]
async fn other_groups_reach_the_session_and_an_end_takes_it_away() {
    let (endpoint, sessions) = (Endpoint::start().await, Arc::<Sessions>::default());
    let introspectors = endpoint.introspectors(Duration::from_secs(60));
    endpoint.says(active(&["a", "b"]));
    let subject = log_in(&introspectors).await;
    assert_eq!((subject.groups.join(" ").as_str(), subject.credential.generation), ("corp|a corp|b", 3));
    let (signals, _entered) = session(&sessions, &subject);

    endpoint.says(active(&["a"]));
    introspectors.ask_again(&sessions).await;
    let raised = signals.take();
    assert!(raised(Signal::Renew) && !raised(Signal::Trust));
    let renewed = signals.take_renewal().unwrap().subject;
    assert_eq!((renewed.groups.join(" ").as_str(), renewed.credential.generation), ("corp|a", 3));
    assert!(introspectors.standing(&renewed).is_ok());

    // The same again is no news.
    let again = active(&["a"]);
    endpoint.says(again.clone());
    introspectors.ask_again(&sessions).await;
    let _ = signals.take();
    endpoint.says(again);
    introspectors.ask_again(&sessions).await;
    let raised = signals.take();
    assert!(!raised(Signal::Renew) && !raised(Signal::Trust));

    endpoint.says(Some(json!({"active": false})));
    introspectors.ask_again(&sessions).await;
    assert!(signals.take()(Signal::Trust));
    assert_eq!(introspectors.standing(&renewed), Err(IdentityError::Inactive));
    // It is not asked about any more, and whoever is told again is told the same.
    let asked = *endpoint.asked.lock().unwrap();
    introspectors.ask_again(&sessions).await;
    assert!(signals.take()(Signal::Trust));
    assert_eq!(*endpoint.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn a_token_of_somebody_else_does_not_go_on_as_before() {
    let (endpoint, sessions) = (Endpoint::start().await, Arc::<Sessions>::default());
    let introspectors = endpoint.introspectors(Duration::from_secs(60));
    endpoint.says(active(&[]));
    let subject = log_in(&introspectors).await;
    let (signals, _entered) = session(&sessions, &subject);
    let mut other = active(&[]).unwrap();
    other["sub"] = json!("joe");
    endpoint.says(Some(other));
    introspectors.ask_again(&sessions).await;
    assert!(signals.take()(Signal::Trust));
    assert_eq!(introspectors.standing(&subject), Err(IdentityError::Inactive));
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_believed_for_as_long_as_it_may_be_away() {
    for (max_outage, ends) in [(Duration::from_secs(60), false), (Duration::ZERO, true)] {
        let (endpoint, sessions) = (Endpoint::start().await, Arc::<Sessions>::default());
        let introspectors = endpoint.introspectors(max_outage);
        endpoint.says(active(&[]));
        let subject = log_in(&introspectors).await;
        let (signals, _entered) = session(&sessions, &subject);
        for answer in [None, Some(json!("nonsense"))] {
            endpoint.says(answer);
            introspectors.ask_again(&sessions).await;
            assert_eq!(signals.take()(Signal::Trust), ends, "{max_outage:?}");
        }
        assert_eq!(introspectors.standing(&subject).is_err(), ends);
    }
}

#[tokio::test]
async fn whoever_is_asked_as_before_keeps_what_is_known_and_others_do_not() {
    let endpoint = Endpoint::start().await;
    let introspectors = endpoint.introspectors(Duration::from_secs(60));
    endpoint.says(active(&[]));
    let subject = log_in(&introspectors).await;
    let introspector = introspectors.about(TOKEN).unwrap();
    let asked = Asked {
        issuer: Arc::clone(&introspector.issuer),
        config: introspector.config.clone(),
        secret: Arc::clone(&introspector.secret),
    };
    assert!(introspectors.compare(std::slice::from_ref(&asked)).is_empty());
    introspectors.replace(vec![asked.clone()]);
    assert!(introspectors.standing(&subject).is_ok());
    let other = Asked { config: IntrospectionConfig { client_id: "other".into(), ..asked.config.clone() }, ..asked };
    assert_eq!(introspectors.compare(std::slice::from_ref(&other)), ["corp".into()]);
    introspectors.replace(vec![other]);
    assert_eq!(introspectors.standing(&subject), Err(IdentityError::Inactive));
    assert_eq!(introspectors.compare(&[]), ["corp".into()]);
    introspectors.replace(Vec::new());
    assert!(introspectors.about(TOKEN).is_none());
    assert_eq!(introspectors.standing(&subject), Err(IdentityError::Inactive));
}
